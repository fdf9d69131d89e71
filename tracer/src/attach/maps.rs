//! Maps of the loaded object: taken out of it by name, and their descriptors.

use std::{
    io,
    os::fd::{AsFd as _, OwnedFd},
};

use aya::{
    Ebpf,
    maps::{Map, MapData, MapError},
};

/// Takes a map out of the object, to be kept apart from it.
#[expect(clippy::expect_used, reason = "the object is part of this binary: a missing map is a build error")]
pub(super) fn take(ebpf: &mut Ebpf, name: &str) -> Map {
    ebpf.take_map(name).expect("a map of our own object")
}

/// What the descriptor of an array is in.
pub(super) fn map_data(map: &Map) -> Result<&MapData, MapError> {
    match map {
        Map::Array(data) => Ok(data),
        _ => Err(MapError::InvalidMapType { map_type: 0 }),
    }
}

/// Another descriptor of a map, of the kinds that there are.
pub(super) fn duplicate(map: &Map) -> Option<io::Result<OwnedFd>> {
    let (Map::Array(data)
    | Map::HashMap(data)
    | Map::LruHashMap(data)
    | Map::PerCpuArray(data)
    | Map::Queue(data)
    | Map::RingBuf(data)) = map
    else {
        return None;
    };
    Some(data.fd().as_fd().try_clone_to_owned())
}
