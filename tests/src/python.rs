//! The interpreters that the tests run: those of the [table](Python::ALL), and which tests run under which.

pub use pythons::{Python, Trait, in_root};

/// Makes a test of each function, for each interpreter that stands for all: `cpython_3_11_debian::name` and so on.
#[macro_export]
macro_rules! on_all_pythons {
    ($($name:ident),+ $(,)?) => {
        $crate::on_pythons! { [$($name),+]
            cpython_3_11_debian: DEBIAN_3_11,
            cpython_3_14_sid: SID_3_14,
            cpython_3_15_sid: SID_3_15,
        }
    };
}

/// Makes a test of each function, for each build that is traced exactly: all but those whose JIT compiler is on.
#[macro_export]
macro_rules! on_every_exact_build {
    ($($name:ident),+ $(,)?) => {
        $crate::on_pythons! { [$($name),+]
            cpython_3_8_shared: SHARED_3_8,
            cpython_3_9_shared: SHARED_3_9,
            cpython_3_9_bullseye: BULLSEYE_3_9,
            cpython_3_10_shared: SHARED_3_10,
            cpython_3_11_debian: DEBIAN_3_11,
            cpython_3_11_shared: SHARED_3_11,
            cpython_3_11_shared_stripped: STRIPPED_3_11,
            cpython_3_12_shared: SHARED_3_12,
            cpython_3_12_shared_stripped: STRIPPED_3_12,
            cpython_3_13_shared: SHARED_3_13,
            cpython_3_13_sid: SID_3_13,
            cpython_3_13_nogil: NOGIL_3_13,
            cpython_3_14_sid: SID_3_14,
            cpython_3_15_sid: SID_3_15,
        }
    };
}

/// Makes a test of each function, for each build of the table.
#[macro_export]
macro_rules! on_every_build {
    ($($name:ident),+ $(,)?) => {
        $crate::on_every_exact_build! { $($name),+ }
        $crate::on_pythons! { [$($name),+] cpython_3_14_sid_jit: JIT_3_14, }
    };
}

/// Makes a module of tests for each interpreter.
#[doc(hidden)]
#[macro_export]
macro_rules! on_pythons {
    ($names:tt $($module:ident: $python:ident,)+) => {
        $(mod $module { $crate::on_python! { $module $python $names } })+
    };
}

/// Makes a test of each function for one interpreter.
#[doc(hidden)]
#[macro_export]
macro_rules! on_python {
    ($module:ident $python:ident [$($name:ident),+]) => {
        $(
            #[test]
            fn $name() {
                let python = $crate::Python::$python;
                assert_eq!(stringify!($module), python.test_module(), "tests are left out by this name");
                super::$name(python);
            }
        )+
    };
}

#[cfg(test)]
mod tests {
    use super::Python;

    #[test]
    fn every_build_of_the_table_has_its_tests() {
        let (_, list) =
            include_str!("python.rs").split_once("macro_rules! on_every_exact").expect("it is there");
        for python in Python::ALL {
            assert!(list.contains(&format!(" {}: ", python.test_module())), "{}", python.name());
        }
    }
}
