//! What the kept plans have computed, as JSON.

use std::fmt::Write;
use std::sync::atomic::Ordering::Relaxed;

use convlow::Plan;

use crate::packed;
use crate::plans::{self, Entry, Key, Made, Pass};

/// One row a plan.
pub fn json() -> String {
    let mut entries = plans::all();
    entries.sort_by_key(|entry| std::cmp::Reverse(entry.calls.load(Relaxed)));
    let (bytes, tensors) = packed::kept();
    let mut text = format!("{{\"kept_bytes\":{bytes},\"kept_tensors\":{tensors},\"rows\":[");
    let mut rows: Vec<_> = entries.iter().flat_map(|entry| rows_of(entry)).collect();
    rows.sort();
    text.push_str(&rows.join(","));
    text.push_str("]}");
    text
}

fn rows_of(entry: &Entry) -> Vec<String> {
    let key = &entry.key;
    match (&entry.made, key.pass) {
        (Made::Declined(reason), pass) => {
            let name = if matches!(pass, Pass::Forward { .. }) { "forward" } else { "backward" };
            vec![row(entry, name, &format!("\"algorithm\":null,\"declined\":{}", quoted(reason)))]
        }
        (Made::Forward(plan), Pass::Forward { packed }) => {
            let info = plan.info();
            let packed = if packed { info.packed_weights_bytes } else { 0 };
            let name = info.entry.name();
            let bytes = info.workspace_bytes;
            let plan = format!(
                "\"algorithm\":\"{name}\",\"workspace_bytes\":{bytes},\"packed_bytes\":{packed},\"declined\":null"
            );
            vec![row(entry, "forward", &plan)]
        }
        (Made::Forward(_), _) => Vec::new(),
        (Made::Backward(plan), _) => {
            let of_plan = |name, plan: &Option<Plan>| {
                let info = plan.as_ref()?.info();
                let (algorithm, bytes) = (info.entry.name(), info.workspace_bytes);
                let plan = format!(
                    "\"algorithm\":\"{algorithm}\",\"workspace_bytes\":{bytes},\"packed_bytes\":0,\"declined\":null"
                );
                Some(row(entry, name, &plan))
            };
            let rows = [
                of_plan("gradient of input", &plan.of_input),
                of_plan("gradient of weights", &plan.of_weights),
            ];
            rows.into_iter().flatten().collect()
        }
    }
}

fn row(entry: &Entry, pass: &str, plan: &str) -> String {
    let Entry { key, calls, .. } = entry;
    let Key { dtype, tensors: [input, weights, _], geometry, settings, bias, .. } = key;
    let mut text = format!("{{\"pass\":\"{pass}\",\"dtype\":{dtype}");
    let axes = ..geometry.axes;
    for (name, numbers) in [
        ("input", input.sizes()),
        ("weights", weights.sizes()),
        ("stride", &geometry.stride[axes]),
        ("padding", &geometry.padding[axes]),
        ("dilation", &geometry.dilation[axes]),
        ("output_padding", &geometry.output_padding[axes]),
    ] {
        // Writing to a string does not fail.
        _ = write!(text, ",\"{name}\":{numbers:?}");
    }
    let (last, bias, fast) = (input.is_last(), *bias, settings.fast);
    _ = write!(
        text,
        ",\"transposed\":{},\"groups\":{},\"bias\":{bias},\"channels_last\":{last},\"fast\":{fast},\
         \"threads\":{},\"calls\":{},{plan}}}",
        geometry.transposed,
        geometry.groups,
        settings.threads,
        calls.load(Relaxed)
    );
    text
}

fn quoted(text: &str) -> String {
    let plain: String =
        text.chars().map(|c| if c == '"' || c == '\\' || c.is_control() { ' ' } else { c }).collect();
    format!("\"{plain}\"")
}
