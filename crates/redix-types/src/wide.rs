//! Loops for wider vectors than those of the target that this is compiled for.

/// Defines a function that is compiled for the vectors of the target and, on x86-64, for AVX2 too,
/// and picks one by what the processor has.
macro_rules! with_wide_vectors {
    (
        $(#[$doc:meta])*
        $vis:vis fn $name:ident($($arg:ident: $ty:ty),*) $(-> $result:ty)? $body:block
    ) => {
        $(#[$doc])*
        $vis fn $name($($arg: $ty),*) $(-> $result)? {
            #[inline(always)]
            fn plain($($arg: $ty),*) $(-> $result)? $body

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,popcnt")]
            fn wide($($arg: $ty),*) $(-> $result)? {
                plain($($arg),*)
            }

            #[cfg(target_arch = "x86_64")]
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("popcnt") {
                // SAFETY: the processor has just been found to have what `wide` is compiled for;
                // the tests, which compare with a naive model, would end in an illegal
                // instruction.
                return unsafe { wide($($arg),*) };
            }
            plain($($arg),*)
        }
    };
}

pub(crate) use with_wide_vectors;
