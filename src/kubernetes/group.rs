//! A server on one or several nodes → a Service and a LeaderWorkerSet: the leader answers, and the group is started anew as a whole.

use super::objects::{LeaderWorkerSet, LeaderWorkerTemplate, Object, ToYaml};
use super::pods::{Part, nodes_of, service, template};
use super::{Scene, Server, Unfit};

/// Writes a server as a LeaderWorkerSet.
pub fn write(server: &Server, scene: &Scene<'_>) -> Result<String, Unfit> {
    let nodes = nodes_of(server, scene.setup)?;
    let spec = LeaderWorkerSet {
        replicas: server.replicas,
        leader_worker_template: LeaderWorkerTemplate {
            size: nodes,
            restart_policy: "RecreateGroupOnPodRestart",
            leader_template: template(server, scene, Part::Leader(nodes))?,
            worker_template: template(server, scene, Part::Worker(nodes))?,
        },
    };
    let set = Object::with_spec("leaderworkerset.x-k8s.io/v1", "LeaderWorkerSet", scene.meta_of(server), spec);
    Ok([service(server, scene, Part::Leader(nodes)).yaml(), set.yaml()].join("---\n"))
}
