//! What can go wrong before a flow runs.

/// An engine cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// wasmtime refuses the configuration, or an interface is linked twice.
    #[error("the WebAssembly engine cannot start: {0}")]
    Engine(String),
    /// The epoch thread cannot be started.
    #[error("cannot start a thread: {0}")]
    Thread(std::io::Error),
}

/// Why bytes are not a flow. The text is for the author who uploads them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidComponent {
    /// There is nothing.
    #[error("the file is empty; expected a WebAssembly component")]
    Empty,
    /// It does not begin as WebAssembly does.
    #[error("not WebAssembly: the file does not begin with `\\0asm`")]
    NotWasm,
    /// A core module.
    #[error(
        "a core module, not a component; build it for the target wasm32-wasip2, or wrap it with `wasm-tools component new`"
    )]
    CoreModule,
    /// It breaks off or is damaged.
    #[error("damaged WebAssembly: {0}")]
    Malformed(String),
    /// A component of another world.
    #[error("exports no `{0}`; a flow exports this interface (with the Rust SDK: `#[flow]` on its function)")]
    MissingExport(String),
    /// It exports the handler, in another shape.
    #[error("its exports do not fit the contract: {0}")]
    WrongExport(String),
    /// It wants what is not offered.
    #[error("imports `{0}`, which this host does not offer")]
    UnknownImport(String),
    /// It wants something in another shape than it is offered.
    #[error("its imports do not fit the contract: {0}")]
    WrongImport(String),
    /// What it says about itself cannot be read.
    #[error("what it says about itself, its custom section `flowhost:flow`, cannot be used: {0}")]
    Metadata(String),
    /// A function of it has a name that no compiler makes.
    #[error("the name of function {function} has {size} bytes; at most {limit} are allowed; strip its names section")]
    LongName {
        /// The function's index in its module.
        function: u32,
        /// The length of its name, in bytes.
        size: usize,
        /// The most that a name may have.
        limit: usize,
    },
    /// It needs more of the sandbox than one flow may have.
    #[error("needs {need} {what}; a flow may have at most {limit}")]
    TooMany {
        /// Memories or tables.
        what: &'static str,
        /// How many it declares.
        need: u64,
        /// The most that it may have.
        limit: u64,
    },
    /// It needs more of the sandbox than an instance's place in the pool has.
    #[error("needs more of the sandbox than one flow may have: {0}")]
    BeyondSandbox(String),
    /// It is larger than a flow may be.
    #[error("{size} bytes; a flow may have at most {limit}")]
    TooLarge {
        /// Its size.
        size: u64,
        /// The most that it may have.
        limit: u64,
    },
    /// Its compilation took too long or too much memory.
    #[error("it could not be compiled within its limits: {0}")]
    CompileLimit(String),
}

/// Why a component could not be made callable.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CompileError {
    /// The component is at fault.
    #[error(transparent)]
    Invalid(#[from] InvalidComponent),
    /// The host has no memory or no process for it. The same component may compile later.
    #[error("the host has no memory to compile the component: {0}")]
    Exhausted(String),
    /// The host failed.
    #[error("the component could not be compiled: {0}")]
    Host(String),
}
