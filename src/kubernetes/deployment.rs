//! A server on one node → a Service and a Deployment.

use super::objects::{Deployment, Object, RollingUpdate, Selector, Strategy, ToYaml};
use super::pods::{Part, answering, nodes_of, service, template};
use super::{Scene, Server, Unfit};

/// Writes a server as a Deployment.
pub fn write(server: &Server, scene: &Scene<'_>) -> Result<String, Unfit> {
    if nodes_of(server, scene.setup)? > 1 {
        let (server, units, node) = (server.name.clone(), server.units, scene.setup.gpus_per_node);
        return Err(Unfit::TooLarge { server, units, node });
    }
    let spec = Deployment {
        replicas: server.replicas,
        selector: Selector { match_labels: answering(server, scene, Part::Whole) },
        // A pod goes before the next one comes: there is no GPU for one more.
        strategy: Strategy {
            kind: "RollingUpdate",
            rolling_update: RollingUpdate { max_surge: 0, max_unavailable: 1 },
        },
        template: template(server, scene, Part::Whole)?,
    };
    let deployment = Object::with_spec("apps/v1", "Deployment", scene.meta_of(server), spec);
    Ok([service(server, scene, Part::Whole).yaml(), deployment.yaml()].join("---\n"))
}
