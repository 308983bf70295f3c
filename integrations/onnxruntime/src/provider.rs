//! The execution provider of a session: claims chains, and makes a layer of each.

use std::collections::BTreeSet;
use std::ffi::{c_char, c_void};
use std::sync::{Arc, Mutex, PoisonError};

use convlow::Layout;
use ort_sys::{OrtGraph, OrtKernelContext, OrtLogger, OrtLoggingLevel, OrtNode, OrtStatusPtr};

use crate::NAME;
use crate::between::{Between, Ready};
use crate::chain::Chain;
use crate::host::{Failure, Graph, Host, Node, OK, Result, Value};
use crate::layer::{Input, Layer, Places, layer, usual_problem};
use crate::layouts::{Claim, channels_last};
use crate::session::{Session, Told};
use crate::sys::{API_VERSION, Ep, GraphSupportInfo, NodeComputeContext, NodeComputeInfo, NodeFusionOptions};

/// What the host sees of a provider comes first.
#[repr(C)]
pub struct Provider {
    ep: Ep,
    host: Host,
    logger: *const OrtLogger,
    session: Arc<Session>,
    claimed: Mutex<Claimed>,
}

/// What was claimed of the graph that was seen last, which is the next to be compiled.
#[derive(Default)]
struct Claimed {
    outputs: BTreeSet<String>,
    channels_last: BTreeSet<String>,
}

impl Provider {
    /// A provider, as the host holds it.
    pub fn create(host: Host, logger: *const OrtLogger, session: Arc<Session>) -> *mut Ep {
        let ep = Ep {
            version: API_VERSION,
            get_name,
            get_capability,
            compile,
            release_node_compute_infos,
            get_preferred_data_layout: None,
            should_convert_data_layout_for_op: None,
            set_dynamic_options: None,
            on_run_start: None,
            on_run_end: None,
            create_allocator: None,
            create_sync_stream_for_device: None,
            get_compiled_model_compatibility_info: None,
        };
        Box::into_raw(Box::new(Self { ep, host, logger, session, claimed: Mutex::default() })).cast()
    }

    /// Frees a provider.
    ///
    /// # Safety
    /// It is one of [`Provider::create`], and nobody uses it any more.
    pub unsafe fn release(ep: *mut Ep) {
        // SAFETY: the caller's promise.
        drop(unsafe { Box::from_raw(ep.cast::<Self>()) });
    }

    fn log(&self, text: &str) {
        let level = match self.session.options.verbose {
            true => OrtLoggingLevel::ORT_LOGGING_LEVEL_WARNING,
            false => OrtLoggingLevel::ORT_LOGGING_LEVEL_VERBOSE,
        };
        // SAFETY: the logger lives as long as the session.
        unsafe { self.host.log(self.logger, level, text) };
    }

    /// The chain that begins with a node, and what is to be told of it.
    fn claim<'a>(&self, node: Node<'a>, graph: &Graph<'a>) -> Result<Option<(Chain<'a>, Told)>> {
        let name = node.name()?;
        let left = |reason: String| {
            self.log(&format!("convlow leaves {name} to ONNX Runtime: {reason}"));
            let told = Told { node: name.clone(), id: node.id()?, reason: Some(reason), ..Told::default() };
            self.session.tell(output_of(node)?, told);
            Ok::<_, Failure>(())
        };
        let chain = match Chain::of(node, graph) {
            Ok(None) => return Ok(None),
            Ok(Some(chain)) => chain,
            Err(reason) => return left(reason).map(|()| None),
        };
        let least = self.session.options.min_macs;
        match usual_problem(&chain, [Layout::Nchw; 2]) {
            Err(Failure(reason)) => return left(reason).map(|()| None),
            Ok(problem) if problem.macs() < least => {
                let reason =
                    format!("it has {} multiplications, fewer than min_macs = {least}", problem.macs());
                return left(reason).map(|()| None);
            }
            Ok(_) => {}
        }
        let fused = chain.nodes[1..].iter().map(|node| node.operator()).collect::<Result<_>>()?;
        Ok(Some((chain, Told { node: name, id: node.id()?, fused, ..Told::default() })))
    }

    fn claim_all(&self, graph: *const OrtGraph, support: *mut GraphSupportInfo) -> Result<()> {
        // SAFETY: the graph lives as long as this call.
        let mut graph = unsafe { self.host.graph(graph) }?;
        let nodes = graph.nodes.clone();
        let mut parts: Vec<Part<'_>> = Vec::new();
        // From the last one on: where two convolutions are added, the other one is computed first.
        for &node in nodes.iter().rev() {
            if graph.taken.contains(&node.id()?) {
                continue;
            }
            let Some((chain, told)) = self.claim(node, &graph)? else { continue };
            self.log(&format!("convlow computes {} with {:?}", told.node, told.fused));
            self.session.tell(output_of(node)?, told);
            let part = Part::Convolution(Box::new(chain));
            graph.taken.extend(part.ids()?);
            parts.push(part);
        }
        for &node in &nodes {
            if graph.taken.contains(&node.id()?) {
                continue;
            }
            // What cannot be read is left to the host.
            if let Ok(Some(between)) = Between::of(node, &graph) {
                let part = Part::Between(between);
                graph.taken.extend(part.ids()?);
                parts.push(part);
            }
        }
        // What is not worth its claim is left to the host, until nothing is left off any more.
        let channels_last = loop {
            let claims: Vec<Claim<'_>> = parts.iter().map(Part::claim).collect();
            let is_other = |node: &Node<'_>| !parts.iter().any(|part| part.nodes().contains(node));
            let others: Vec<Node<'_>> = nodes.iter().copied().filter(is_other).collect();
            let channels_last = channels_last(&claims, &others)?;
            let count = parts.len();
            let mut kept = Vec::new();
            for part in parts {
                if part.is_worth(&channels_last)? {
                    kept.push(part);
                }
            }
            parts = kept;
            if parts.len() == count {
                break channels_last;
            }
        };
        let last = channels_last.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        self.log(&format!("convlow keeps channels last: {last}"));
        for part in &parts {
            if let Part::Between(between) = part {
                let names = between.nodes.iter().map(|node| node.name()).collect::<Result<Vec<_>>>()?;
                self.log(&format!("convlow computes {} between convolutions", names.join(", ")));
            }
            let nodes: Vec<*const OrtNode> = part.nodes().iter().map(|node| node.as_ptr()).collect();
            let options = NodeFusionOptions { version: API_VERSION, drop_constant_initializers: true };
            // SAFETY: the nodes are the graph's, and a part is convex.
            let status =
                unsafe { (self.host.ep.add_nodes_to_fuse)(support, nodes.as_ptr(), nodes.len(), &options) };
            self.host.check(status)?;
        }
        let claimed = Claimed { outputs: outputs(&parts)?, channels_last };
        *self.claimed.lock().unwrap_or_else(PoisonError::into_inner) = claimed;
        Ok(())
    }

    /// Makes the layers of a graph's fused nodes.
    fn compile_all(&self, graphs: &[(*const OrtGraph, *const OrtNode)]) -> Result<Vec<*mut NodeComputeInfo>> {
        let (mut parts, mut fused_nodes) = (Vec::new(), Vec::new());
        for &(graph, fused) in graphs {
            // SAFETY: both live as long as this call.
            let (graph, fused) = unsafe { (self.host.graph(graph)?, self.host.node(fused)) };
            parts.push(Part::of(graph)?);
            fused_nodes.push(fused);
        }
        let claimed = self.claimed.lock().unwrap_or_else(PoisonError::into_inner);
        // If the host does not take every claim, somebody else reads what convlow wanted for itself.
        let channels_last =
            if outputs(&parts)? == claimed.outputs { &claimed.channels_last } else { &BTreeSet::new() };
        let mut layers = Vec::new();
        for (part, fused) in parts.iter().zip(fused_nodes) {
            layers.push(self.layer_of(part, fused, channels_last)?);
        }
        // Nothing fails any more: what is made is the host's from here on.
        Ok(layers.into_iter().map(|layer| Computed::create(self.host, layer)).collect())
    }

    fn layer_of(
        &self,
        part: &Part<'_>,
        fused: Node<'_>,
        channels_last: &BTreeSet<String>,
    ) -> Result<Box<dyn Layer>> {
        let names =
            fused.inputs()?.into_iter().flatten().map(|value| value.name()).collect::<Result<Vec<_>>>()?;
        let layout = |name: &String| if channels_last.contains(name) { Layout::Nhwc } else { Layout::Nchw };
        let input = |value: Value<'_>| -> Result<Input> {
            let name = value.name()?;
            let index = names.iter().position(|own| *own == name);
            let index = index.ok_or_else(|| {
                Failure(format!("convlow has a defect: {name} is no input of its fused node"))
            })?;
            Ok(Input { index, layout: layout(&name) })
        };
        match part {
            Part::Convolution(chain) => {
                let places = Places {
                    src: input(chain.src)?,
                    residual: chain.residual.map(input).transpose()?,
                    dst: layout(&chain.dst.name()?),
                };
                layer(chain, places, output_of(chain.nodes[0])?, &self.session)
            }
            Part::Between(between) if between.is_worth(channels_last)? => {
                let inputs = between.reads.iter().map(|&value| Ok(input(value)?.index));
                Ok(Box::new(Ready::new(between, inputs.collect::<Result<_>>()?, &self.session)))
            }
            Part::Between(_) => {
                Err(Failure("ONNX Runtime has not taken all that convlow claims".to_string()))
            }
        }
    }
}

/// What is computed as one node.
enum Part<'a> {
    Convolution(Box<Chain<'a>>),
    Between(Between<'a>),
}

impl<'a> Part<'a> {
    /// That of a fused node's graph.
    fn of(mut graph: Graph<'a>) -> Result<Self> {
        // They are convlow's own.
        graph.taken.clear();
        for &node in &graph.nodes {
            if let Some(chain) = Chain::of(node, &graph).map_err(Failure)? {
                return Ok(Self::Convolution(Box::new(chain)));
            }
        }
        for &node in &graph.nodes {
            match Between::of(node, &graph)? {
                Some(between) if between.nodes.len() == graph.nodes.len() => {
                    return Ok(Self::Between(between));
                }
                _ => {}
            }
        }
        Err(Failure("convlow has a defect: a fused node of nothing that it computes".to_string()))
    }

    fn nodes(&self) -> &[Node<'a>] {
        match self {
            Self::Convolution(chain) => &chain.nodes,
            Self::Between(between) => &between.nodes,
        }
    }

    fn ids(&self) -> Result<Vec<usize>> {
        self.nodes().iter().map(|node| node.id()).collect()
    }

    fn claim(&self) -> Claim<'a> {
        match self {
            Self::Convolution(chain) => chain.claim(),
            Self::Between(between) => between.claim(),
        }
    }

    fn is_worth(&self, channels_last: &BTreeSet<String>) -> Result<bool> {
        match self {
            Self::Convolution(_) => Ok(true),
            Self::Between(between) => between.is_worth(channels_last),
        }
    }
}

/// The name of a node's first output.
fn output_of(node: Node<'_>) -> Result<String> {
    match node.outputs()?.first().copied().flatten() {
        Some(output) => output.name(),
        None => Ok(String::new()),
    }
}

/// The names of the parts' outputs.
fn outputs(parts: &[Part<'_>]) -> Result<BTreeSet<String>> {
    parts.iter().map(|part| part.claim().writes.name()).collect()
}

unsafe extern "system" fn get_name(_: *const Ep) -> *const c_char {
    NAME.as_ptr()
}

unsafe extern "system" fn get_capability(
    this: *mut Ep,
    graph: *const OrtGraph,
    support: *mut GraphSupportInfo,
) -> OrtStatusPtr {
    // SAFETY: the host passes what `Provider::create` made.
    let this = unsafe { &*this.cast::<Provider>() };
    this.host.guard(|| this.claim_all(graph, support))
}

unsafe extern "system" fn compile(
    this: *mut Ep,
    graphs: *mut *const OrtGraph,
    fused_nodes: *mut *const OrtNode,
    count: usize,
    compute_infos: *mut *mut NodeComputeInfo,
    _: *mut *mut OrtNode,
) -> OrtStatusPtr {
    // SAFETY: the host passes what `Provider::create` made, and arrays of so many.
    let this = unsafe { &*this.cast::<Provider>() };
    this.host.guard(|| {
        // SAFETY: as above.
        let graphs: Vec<_> =
            (0..count).map(|at| unsafe { (*graphs.add(at), *fused_nodes.add(at)) }).collect();
        for (at, computed) in this.compile_all(&graphs)?.into_iter().enumerate() {
            // SAFETY: as above.
            unsafe { *compute_infos.add(at) = computed };
        }
        Ok(())
    })
}

unsafe extern "system" fn release_node_compute_infos(
    _: *mut Ep,
    compute_infos: *mut *mut NodeComputeInfo,
    count: usize,
) {
    for at in 0..count {
        // SAFETY: the host passes what `Computed::create` made, once.
        unsafe {
            let info = *compute_infos.add(at);
            if !info.is_null() {
                drop(Box::from_raw(info.cast::<Computed>()));
            }
        }
    }
}

/// What the host sees of a layer comes first.
#[repr(C)]
struct Computed {
    info: NodeComputeInfo,
    host: Host,
    layer: Box<dyn Layer>,
}

impl Computed {
    fn create(host: Host, layer: Box<dyn Layer>) -> *mut NodeComputeInfo {
        let info = NodeComputeInfo { version: API_VERSION, create_state, compute, release_state };
        Box::into_raw(Box::new(Self { info, host, layer })).cast()
    }
}

unsafe extern "system" fn create_state(
    _: *mut NodeComputeInfo,
    _: *mut NodeComputeContext,
    state: *mut *mut c_void,
) -> OrtStatusPtr {
    // SAFETY: the host's place for it. A layer has no state.
    unsafe { *state = std::ptr::null_mut() };
    OK
}

unsafe extern "system" fn compute(
    this: *mut NodeComputeInfo,
    _: *mut c_void,
    context: *mut OrtKernelContext,
) -> OrtStatusPtr {
    // SAFETY: the host passes what `Computed::create` made, and a context for this call.
    let (this, call) = unsafe {
        let this = &*this.cast::<Computed>();
        (this, this.host.call(context))
    };
    this.host.guard(|| this.layer.run(call))
}

unsafe extern "system" fn release_state(_: *mut NodeComputeInfo, _: *mut c_void) {}
