//! Attack: any text as wisdom.
//!
//! An import must refuse the text and change nothing, or take it in. The wisdom that is exported then must be the
//! same after another import and export.

use std::ptr::null_mut;

use crate::case::{answered, message};
use convlow::ffi::wisdom::{convlow_wisdom_export, convlow_wisdom_import};
use convlow::planner::wisdom::forget;

fn import(text: &[u8]) -> bool {
    // SAFETY: a slice with its length.
    answered(unsafe { convlow_wisdom_import(text.as_ptr().cast(), text.len()) })
}

fn export() -> Vec<u8> {
    let mut length = 0;
    // SAFETY: a place to write, and no text.
    assert!(answered(unsafe { convlow_wisdom_export(null_mut(), 0, &mut length) }), "{}", message());
    let mut text = vec![0xa5u8; length + 1];
    // SAFETY: a text of that capacity.
    let status = unsafe { convlow_wisdom_export(text.as_mut_ptr().cast(), text.len(), &mut length) };
    assert!(answered(status), "{}", message());
    assert_eq!((text.len(), text.pop()), (length + 1, Some(0)));
    text
}

/// Holds the promises.
pub fn run(text: &[u8]) {
    forget();
    let nothing = export();
    if !import(text) {
        assert!(export() == nothing, "a refusal has added something");
        return;
    }
    let known = export();
    assert!(import(&known), "what is known is refused: {}", message());
    assert!(export() == known, "importing what is known has changed it");
    forget();
    assert!(import(&known), "what was exported is refused: {}", message());
    assert_eq!(String::from_utf8_lossy(&export()), String::from_utf8_lossy(&known));
}
