//! Why a plan cannot be written as manifests, with what to do about it.

use std::fmt;

/// Why a plan cannot be written as manifests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// Nothing in the plan is a model server of one's own.
    NoServer,
    /// A name that Kubernetes does not take.
    Name {
        /// The name.
        name: String,
    },
    /// Nodes are said to have no GPU.
    NoGpus,
    /// Models of several steps lie on one GPU.
    Shared {
        /// The GPU: `a100 0`.
        gpu: String,
        /// The steps.
        steps: Vec<String>,
    },
    /// Nobody knows which nodes have a device.
    Device {
        /// The device.
        device: String,
    },
    /// A server needs more GPUs than a node has.
    TooLarge {
        /// The server.
        server: String,
        /// The GPUs that it needs.
        units: u32,
        /// Those of a node.
        node: u32,
    },
    /// A server's GPUs cannot be spread evenly over nodes.
    Uneven {
        /// The server.
        server: String,
        /// The GPUs that it needs.
        units: u32,
        /// Those of a node.
        node: u32,
    },
    /// No image is known that has a server's program.
    Image {
        /// The server's kind.
        kind: String,
    },
    /// Weights that no server can fetch by itself.
    Weights {
        /// The weights.
        weights: String,
        /// What is the matter with them.
        why: &'static str,
        /// What to do.
        help: &'static str,
    },
    /// A server that would know the model by another name than the plan asks for.
    Renamed {
        /// The plan's name.
        asked: String,
        /// The server's.
        known: String,
    },
    /// Two servers have the same model, set up differently.
    Twice {
        /// The model.
        model: String,
    },
    /// A run cannot be told where a server is.
    NoAddress {
        /// The model.
        model: String,
    },
    /// The files of a run are too large for a ConfigMap.
    TooMuch {
        /// Their bytes.
        bytes: usize,
        /// The most that there may be.
        most: usize,
    },
    /// A server cannot be started as the plan has it.
    Server {
        /// Why.
        why: String,
    },
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unfit::NoServer => f.write_str(
                "no step of the plan is carried out by a model server of your own: there is nothing to write\n  help: plan for a \
                 cluster with GPUs, or with `only open_models`",
            ),
            Unfit::Name { name } => {
                let most = super::LONGEST_NAME;
                write!(
                    f,
                    "`{name}` is no name for objects: at most {most} of a-z, 0-9 and `-`, from a letter on; give one with `--name`"
                )
            }
            Unfit::NoGpus => f.write_str("`--gpus-per-node` takes 1 or more"),
            Unfit::Shared { gpu, steps } => write!(
                f,
                "the plan places the models of {} side by side on `{gpu}`, and Kubernetes gives a container whole GPUs\n  help: a \
                 joint plan has whole GPUs: `mkbc plan JOB.mkb --cluster CLUSTER --load 30/min`",
                steps.iter().map(|s| format!("`{s}`")).collect::<Vec<_>>().join(", ")
            ),
            Unfit::Device { device } => write!(
                f,
                "which nodes have the device `{device}` is not known\n  help: say the label that they have: `--node \
                 {device}=nvidia.com/gpu.product=NAME`"
            ),
            Unfit::TooLarge { server, units, node } => write!(
                f,
                "`{server}` needs {units} GPUs, and a node has {node}\n  help: `mkbc export lws` spreads a server over nodes; \
                 `--gpus-per-node` says how many a node has"
            ),
            Unfit::Uneven { server, units, node } => write!(
                f,
                "the {units} GPUs of `{server}` do not fill nodes of {node}\n  help: `--gpus-per-node` takes a divisor of {units}"
            ),
            Unfit::Image { kind } => {
                write!(f, "no container image is known for `{kind}`\n  help: give one: `--image {kind}=IMAGE`")
            }
            Unfit::Weights { weights, why, help } => write!(f, "the weights `{weights}` {why}\n  help: {help}"),
            Unfit::Renamed { asked, known } => write!(
                f,
                "the plan asks for `{asked}`, and the server would know the model as `{known}` alone\n  help: give the engine this \
                 `model`, or leave out `--weights-claim`"
            ),
            Unfit::Twice { model } => write!(
                f,
                "the plan has two servers with `{model}`, set up differently, and a run finds a server by its model\n  help: pin one \
                 way to set it up: `using NAME(batch: 8)`"
            ),
            Unfit::NoAddress { model } => write!(
                f,
                "the engine of `{model}` names no variable for its address, and a run could not be told where the server is\n  \
                 help: give the engine a `url_env`"
            ),
            Unfit::TooMuch { bytes, most } => write!(
                f,
                "the plan, the job and its libraries have {bytes} bytes, and Kubernetes takes {most} in one ConfigMap\n  help: leave \
                 out `--run`, and run the plan from an image that has them"
            ),
            Unfit::Server { why } => f.write_str(why),
        }
    }
}
