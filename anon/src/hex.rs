//! How keys and ids are printed for debugging: the first eight hexadecimal digits. Of what is secret only the name is.

macro_rules! debug_as_short_hex {
    ($($type:ident),*) => {$(
        impl std::fmt::Debug for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                let start = self.0.first_chunk::<4>().unwrap_or(&[0; 4]);
                write!(f, concat!(stringify!($type), "({}…)"), data_encoding::HEXLOWER.encode(start))
            }
        }
    )*};
}
pub(crate) use debug_as_short_hex;

macro_rules! debug_as_name {
    ($($type:ident),*) => {$(
        impl std::fmt::Debug for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(concat!(stringify!($type), "(..)"))
            }
        }
    )*};
}
pub(crate) use debug_as_name;
