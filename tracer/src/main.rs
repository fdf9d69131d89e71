//! The command `pytracer`.
fn main() {
    let r = tracer::attach::Kernel::load(tracer::attach::LoadOptions { ring_bytes: 1 << 20, all: false, filtering: false });
    match r { Ok(_) => println!("ok"), Err(e) => println!("{e:#?}") }
}
