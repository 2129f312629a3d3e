//! When a field is left out of what is written: the canonical form omits every field equal to its default, so that a
//! new field changes no old hash.

/// Whether a field holds its type's default.
pub(crate) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// The default of a switch that is on.
pub(crate) const fn on() -> bool {
    true
}

/// Whether a switch whose default is on holds its default.
#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's skip_serializing_if passes a reference")]
pub(crate) const fn is_on(value: &bool) -> bool {
    *value
}
