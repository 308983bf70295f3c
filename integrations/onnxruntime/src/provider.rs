//! The execution provider of a session: claims chains, and makes a layer of each.

use std::ffi::{c_char, c_void};
use std::sync::Arc;

use ort_sys::{OrtGraph, OrtKernelContext, OrtLogger, OrtLoggingLevel, OrtNode, OrtStatusPtr};

use crate::NAME;
use crate::chain::Chain;
use crate::host::{Failure, Host, Node, OK, Result};
use crate::layer::{Inputs, Layer, layer, usual_problem};
use crate::session::{Session, Told};
use crate::sys::{API_VERSION, Ep, GraphSupportInfo, NodeComputeContext, NodeComputeInfo, NodeFusionOptions};

/// What the host sees of a provider comes first.
#[repr(C)]
pub struct Provider {
    ep: Ep,
    host: Host,
    logger: *const OrtLogger,
    session: Arc<Session>,
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
        Box::into_raw(Box::new(Self { ep, host, logger, session })).cast()
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
    fn claim<'a>(&self, node: Node<'a>) -> Result<Option<(Chain<'a>, Told)>> {
        let name = node.name()?;
        let left = |reason: String| {
            self.log(&format!("convlow leaves {name} to ONNX Runtime: {reason}"));
            let told = Told { node: name.clone(), reason: Some(reason), ..Told::default() };
            node.id().map(|id| self.session.tell(id, told))
        };
        let chain = match Chain::of(node) {
            Ok(None) => return Ok(None),
            Ok(Some(chain)) => chain,
            Err(reason) => return left(reason).map(|()| None),
        };
        let least = self.session.options.min_macs;
        match usual_problem(&chain) {
            Err(Failure(reason)) => return left(reason).map(|()| None),
            Ok(problem) if problem.macs() < least => {
                let reason =
                    format!("it has {} multiplications, fewer than min_macs = {least}", problem.macs());
                return left(reason).map(|()| None);
            }
            Ok(_) => {}
        }
        let fused = chain.nodes[1..].iter().map(|node| node.operator()).collect::<Result<_>>()?;
        Ok(Some((chain, Told { node: name, fused, ..Told::default() })))
    }

    fn claim_all(&self, graph: *const OrtGraph, support: *mut GraphSupportInfo) -> Result<()> {
        // SAFETY: the graph lives as long as this call.
        let nodes = unsafe { self.host.nodes(graph) }?;
        let mut taken: Vec<usize> = Vec::new();
        // From the last one on: where two convolutions are added, the other one is computed first.
        for &node in nodes.iter().rev() {
            let Some((mut chain, told)) = self.claim(node)? else { continue };
            let ids = chain.nodes.iter().map(|node| node.id()).collect::<Result<Vec<_>>>()?;
            if let Some(end) = ids.iter().position(|id| taken.contains(id)) {
                chain.nodes.truncate(end);
            }
            let (ids, nodes) = (&ids[..chain.nodes.len()], chain.nodes.iter().map(|node| node.as_ptr()));
            let nodes: Vec<*const OrtNode> = nodes.collect();
            let options = NodeFusionOptions { version: API_VERSION, drop_constant_initializers: true };
            // SAFETY: the nodes are the graph's, and their chain is convex.
            let status =
                unsafe { (self.host.ep.add_nodes_to_fuse)(support, nodes.as_ptr(), nodes.len(), &options) };
            self.host.check(status)?;
            taken.extend(ids);
            let fused = told.fused[..chain.nodes.len() - 1].to_vec();
            self.log(&format!("convlow computes {} with {fused:?}", told.node));
            self.session.tell(ids[0], Told { fused, ..told });
        }
        Ok(())
    }

    fn compile_one(&self, graph: *const OrtGraph, fused: *const OrtNode) -> Result<*mut NodeComputeInfo> {
        // SAFETY: both live as long as this call.
        let (nodes, fused) = unsafe { (self.host.nodes(graph)?, self.host.node(fused)) };
        let mut chains = Vec::new();
        for node in nodes {
            if let Some(chain) = Chain::of(node).map_err(Failure)? {
                chains.push(chain);
            }
        }
        let [chain] = chains.as_slice() else {
            return Err(Failure(format!(
                "convlow has a defect: a fused node of {} convolutions",
                chains.len()
            )));
        };
        let names =
            fused.inputs()?.into_iter().flatten().map(|value| value.name()).collect::<Result<Vec<_>>>()?;
        let index = |name: String| {
            let at = names.iter().position(|own| *own == name);
            at.ok_or_else(|| Failure(format!("convlow has a defect: {name} is no input of its fused node")))
        };
        let inputs = Inputs {
            src: index(chain.src.name()?)?,
            residual: chain.residual.map(|value| value.name().and_then(index)).transpose()?,
        };
        let layer = layer(chain, inputs, chain.nodes[0].id()?, &self.session)?;
        Ok(Computed::create(self.host, layer))
    }
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
        for at in 0..count {
            // SAFETY: as above.
            unsafe { *compute_infos.add(at) = this.compile_one(*graphs.add(at), *fused_nodes.add(at))? };
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
