//! The execution provider of a session: claims parts of its graphs, and makes a layer of each.

mod claims;
mod compile;
mod computed;
mod part;

use std::ffi::c_char;
use std::sync::{Arc, Mutex, PoisonError};

use ort_sys::{OrtGraph, OrtNode, OrtStatusPtr};

use crate::host::{Graph, Handle, Host, Log, Node, Result, Shown, Support};
use crate::options::NAME;
use crate::session::Session;
use crate::sys::{API_VERSION, Ep, GraphSupportInfo, NodeComputeInfo};
use claims::{Claimed, Claims};
use compile::layers;
use computed::Computed;

/// A provider. The host sees its first field.
#[repr(C)]
pub struct Provider {
    ep: Ep,
    host: Host,
    log: Log,
    session: Arc<Session>,
    claimed: Mutex<Claimed>,
}

// SAFETY: it is `repr(C)` and begins with an `Ep`.
unsafe impl Shown for Provider {
    type Seen = Ep;
}

impl Provider {
    pub fn new(host: Host, log: Log, session: Arc<Session>) -> Self {
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
        Self { ep, host, log, session, claimed: Mutex::default() }
    }

    /// Claims everything in a graph that convlow computes.
    fn claim(&self, graph: Graph<'_>, mut support: Support<'_>) -> Result<()> {
        let claimed = Claims::new(&self.session, &self.log).of(graph, &mut support)?;
        *self.claimed.lock().unwrap_or_else(PoisonError::into_inner) = claimed;
        Ok(())
    }

    /// Makes the layers of fused nodes, as the host holds them.
    fn compile<'a>(&self, mut graphs: Vec<(Graph<'a>, Node<'a>)>) -> Result<Vec<*mut NodeComputeInfo>> {
        let mut claimed = self.claimed.lock().unwrap_or_else(PoisonError::into_inner);
        let constants = std::mem::take(&mut claimed.constants);
        for (graph, _) in &mut graphs {
            graph.constants.extend(constants.iter().map(|(name, tensor)| (name.clone(), tensor.clone())));
        }
        let layers = layers(graphs, &claimed, &self.session)?;
        // Nothing fails any more: from here on the layers are the host's.
        Ok(layers.into_iter().map(|layer| Computed::new(self.host, layer).show()).collect())
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
    // SAFETY: the host passes a shown `Provider`.
    let this = unsafe { Provider::whole(this) };
    // SAFETY: the host passes a graph and a place for claims that live as long as this call.
    let passed = unsafe { (Handle::new(this.host, graph), Handle::new(this.host, support)) };
    this.host.guard(|| {
        let (Some(graph), Some(support)) = passed else { return Ok(()) };
        this.claim(Graph::new(graph)?, Support::new(support))
    })
}

unsafe extern "system" fn compile(
    this: *mut Ep,
    graphs: *mut *const OrtGraph,
    fused_nodes: *mut *const OrtNode,
    count: usize,
    compute_infos: *mut *mut NodeComputeInfo,
    _: *mut *mut OrtNode,
) -> OrtStatusPtr {
    // SAFETY: the host passes a shown `Provider`.
    let this = unsafe { Provider::whole(this) };
    this.host.guard(|| {
        let mut passed = Vec::new();
        for at in 0..count {
            // SAFETY: the host passes arrays of so many graphs and nodes, which live as long as this call.
            let (graph, fused) = unsafe {
                (Handle::new(this.host, *graphs.add(at)), Handle::new(this.host, *fused_nodes.add(at)))
            };
            let (graph, fused) = graph.zip(fused).ok_or("ONNX Runtime has a defect: a graph is missing")?;
            passed.push((Graph::new(graph)?, Node::new(fused)));
        }
        for (at, computed) in this.compile(passed)?.into_iter().enumerate() {
            // SAFETY: the host passes an array of `count` places.
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
        // SAFETY: the host passes an array of so many places.
        let info = unsafe { *compute_infos.add(at) };
        if !info.is_null() {
            // SAFETY: it is a `Computed` that `compile` showed, and the host passes it once.
            unsafe { Computed::take_back(info) };
        }
    }
}
