//! Names of containers, from what engines keep on disk of those that they run.

use std::{fs, path::Path};

use serde::Deserialize;

use super::cgroup::{Container, Engine};

/// Where Docker describes its containers, one folder each.
const DOCKER: &str = "var/lib/docker/containers";
/// Where Podman lists them.
const PODMAN: &str = "var/lib/containers/storage/overlay-containers/containers.json";

/// Part of Docker's `config.v2.json`.
#[derive(Deserialize)]
struct DockerConfig {
    #[serde(rename = "Name")]
    name: String,
}

/// Part of an entry of Podman's `containers.json`.
#[derive(Deserialize)]
struct PodmanEntry {
    id: String,
    #[serde(default)]
    names: Vec<String>,
}

/// The name that a container was given; escape where shown. `None`: its engine is another, or elsewhere.
pub(super) fn name(container: &Container) -> Option<String> {
    name_below(Path::new("/"), container)
}

fn name_below(root: &Path, container: &Container) -> Option<String> {
    match container.engine {
        Engine::Docker => {
            let text = fs::read(root.join(DOCKER).join(&container.id).join("config.v2.json")).ok()?;
            let config: DockerConfig = serde_json::from_slice(&text).ok()?;
            Some(config.name.trim_start_matches('/').to_owned()).filter(|name| !name.is_empty())
        }
        Engine::Podman => {
            let entries: Vec<PodmanEntry> =
                serde_json::from_slice(&fs::read(root.join(PODMAN)).ok()?).ok()?;
            let entry = entries.into_iter().find(|entry| entry.id == container.id)?;
            entry.names.into_iter().next()
        }
        Engine::Machine | Engine::Lxc => Some(container.id.clone()),
        Engine::Containerd | Engine::CriO | Engine::Unknown => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_as_engines_keep_them() {
        let root = tempfile::tempdir().expect("a folder");
        let id = "ab".repeat(32);
        let docker = root.path().join(DOCKER).join(&id);
        fs::create_dir_all(&docker).expect("a folder");
        fs::write(docker.join("config.v2.json"), r#"{"State":{},"Name":"/web"}"#).expect("a file");
        let podman = root.path().join(PODMAN);
        fs::create_dir_all(podman.parent().expect("a folder")).expect("a folder");
        fs::write(podman, format!(r#"[{{"id":"x"}},{{"id":"{id}","names":["db","alias"]}}]"#))
            .expect("a file");
        let name =
            |engine, id: &str| name_below(root.path(), &Container { engine, id: id.to_owned(), name: None });
        assert_eq!(name(Engine::Docker, &id).as_deref(), Some("web"));
        assert_eq!(name(Engine::Podman, &id).as_deref(), Some("db"));
        assert_eq!(name(Engine::Podman, "x"), None);
        assert_eq!(name(Engine::Docker, "unknown"), None);
        assert_eq!(name(Engine::Lxc, "box").as_deref(), Some("box"));
        assert_eq!(name(Engine::CriO, &id), None);
    }
}
