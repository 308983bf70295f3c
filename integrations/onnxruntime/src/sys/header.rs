//! Holds the declarations of [`sys`](super) and `ort-sys` against ONNX Runtime's own header, by a C compiler.
//!
//! Each field, signature, size and number becomes an assertion of a C program that includes the header. Where neither a
//! compiler nor the header is to be had, the test says that nothing was tested.

use std::any::type_name;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::Write as _;
use std::mem::offset_of;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use ort_sys::{
    OrtApi, OrtApiBase, OrtErrorCode, OrtHardwareDeviceType, OrtLoggingLevel, OrtOpAttrType, OrtStatusPtr,
};

use super::{
    API_VERSION, CreateEpFactories, Ep, EpApi, EpFactory, LeftOut, NodeComputeInfo, NodeFusionOptions,
    ReleaseEpFactory,
};
use crate::host::Listed;

/// A field as Rust declares it, and its name in C.
struct Field {
    name: &'static str,
    offset: usize,
    /// Its type in Rust's words.
    kind: &'static str,
}

/// The type of the field that a closure picks.
fn type_of<S, T>(_: impl Fn(&S) -> &T) -> &'static str {
    type_name::<T>()
}

/// The fields of a struct, each with its name in C.
macro_rules! fields {
    ($of:ident: $($field:ident = $name:literal),* $(,)?) => {
        [$(Field {
            name: $name,
            offset: offset_of!($of, $field),
            kind: type_of(|of: &$of| &of.$field),
        }),*]
    };
}

/// The fields of a struct whose names are those of C.
macro_rules! same_fields {
    ($of:ident: $($field:ident),* $(,)?) => {
        [$(Field {
            name: stringify!($field),
            offset: offset_of!($of, $field),
            kind: type_of(|of: &$of| &of.$field),
        }),*]
    };
}

/// A struct that the host reads or calls, up to the version that this crate is written for.
struct Declared {
    name: &'static str,
    size: usize,
    fields: Vec<Field>,
}

/// All that is declared of the structs which the host reads up to [`API_VERSION`].
fn declared() -> [Declared; 4] {
    let factory = fields![EpFactory:
        version = "ort_version_supported",
        get_name = "GetName",
        get_vendor = "GetVendor",
        get_supported_devices = "GetSupportedDevices",
        create_ep = "CreateEp",
        release_ep = "ReleaseEp",
        get_vendor_id = "GetVendorId",
        get_version = "GetVersion",
        validate_compiled_model_compatibility_info = "ValidateCompiledModelCompatibilityInfo",
        create_allocator = "CreateAllocator",
        release_allocator = "ReleaseAllocator",
        create_data_transfer = "CreateDataTransfer",
        is_stream_aware = "IsStreamAware",
        create_sync_stream_for_device = "CreateSyncStreamForDevice",
    ];
    let provider = fields![Ep:
        version = "ort_version_supported",
        get_name = "GetName",
        get_capability = "GetCapability",
        compile = "Compile",
        release_node_compute_infos = "ReleaseNodeComputeInfos",
        get_preferred_data_layout = "GetPreferredDataLayout",
        should_convert_data_layout_for_op = "ShouldConvertDataLayoutForOp",
        set_dynamic_options = "SetDynamicOptions",
        on_run_start = "OnRunStart",
        on_run_end = "OnRunEnd",
        create_allocator = "CreateAllocator",
        create_sync_stream_for_device = "CreateSyncStreamForDevice",
        get_compiled_model_compatibility_info = "GetCompiledModelCompatibilityInfo",
    ];
    let info = fields![NodeComputeInfo:
        version = "ort_version_supported",
        create_state = "CreateState",
        compute = "Compute",
        release_state = "ReleaseState",
    ];
    let options = fields![NodeFusionOptions:
        version = "ort_version_supported",
        drop_constant_initializers = "drop_constant_initializers",
    ];
    [
        Declared { name: "OrtEpFactory", size: size_of::<EpFactory>(), fields: factory.into() },
        Declared { name: "OrtEp", size: size_of::<Ep>(), fields: provider.into() },
        Declared { name: "OrtNodeComputeInfo", size: size_of::<NodeComputeInfo>(), fields: info.into() },
        Declared {
            name: "OrtNodeFusionOptions",
            size: size_of::<NodeFusionOptions>(),
            fields: options.into(),
        },
    ]
}

/// The functions of the host's tables that are called, by the struct in C that they stand in.
fn called() -> [(&'static str, Vec<Field>); 3] {
    let base = same_fields![OrtApiBase: GetApi, GetVersionString];
    let providers = fields![EpApi:
        create_ep_device = "CreateEpDevice",
        release_ep_device = "ReleaseEpDevice",
        add_nodes_to_fuse = "EpGraphSupportInfo_AddNodesToFuse",
    ];
    let api = same_fields![OrtApi:
        CastTypeInfoToTensorInfo,
        CreateStatus,
        GetDimensions,
        GetDimensionsCount,
        GetEpApi,
        GetErrorMessage,
        GetKeyValuePairs,
        GetSessionOptionsConfigEntries,
        GetSymbolicDimensions,
        GetTensorData,
        GetTensorElementType,
        GetTensorMutableData,
        GetTensorTypeAndShape,
        GetValueInfoName,
        GetValueInfoTypeInfo,
        Graph_GetNodes,
        Graph_GetNumNodes,
        HardwareDevice_Type,
        KernelContext_GetInput,
        KernelContext_GetOutput,
        KernelContext_ParallelFor,
        Logger_LogMessage,
        Node_GetAttributeByName,
        Node_GetDomain,
        Node_GetEpName,
        Node_GetId,
        Node_GetImplicitInputs,
        Node_GetInputs,
        Node_GetName,
        Node_GetNumImplicitInputs,
        Node_GetNumInputs,
        Node_GetNumOutputs,
        Node_GetOperatorType,
        Node_GetOutputs,
        OpAttr_GetType,
        ReadOpAttr,
        ReleaseKeyValuePairs,
        ReleaseStatus,
        ReleaseTensorTypeAndShapeInfo,
        ValueInfo_GetInitializerValue,
        ValueInfo_IsConstantInitializer,
        ValueInfo_IsGraphOutput,
    ];
    [("OrtApiBase", base.into()), ("OrtEpApi", providers.into()), ("OrtApi", api.into())]
}

/// Numbers that Rust has of C's enums.
fn numbers() -> [(&'static str, i32); 12] {
    [
        ("ORT_EP_FAIL", OrtErrorCode::ORT_EP_FAIL as i32),
        ("ORT_NOT_IMPLEMENTED", OrtErrorCode::ORT_NOT_IMPLEMENTED as i32),
        ("ORT_LOGGING_LEVEL_VERBOSE", OrtLoggingLevel::ORT_LOGGING_LEVEL_VERBOSE as i32),
        ("ORT_LOGGING_LEVEL_WARNING", OrtLoggingLevel::ORT_LOGGING_LEVEL_WARNING as i32),
        ("ORT_OP_ATTR_INT", OrtOpAttrType::ORT_OP_ATTR_INT as i32),
        ("ORT_OP_ATTR_INTS", OrtOpAttrType::ORT_OP_ATTR_INTS as i32),
        ("ORT_OP_ATTR_FLOAT", OrtOpAttrType::ORT_OP_ATTR_FLOAT as i32),
        ("ORT_OP_ATTR_STRING", OrtOpAttrType::ORT_OP_ATTR_STRING as i32),
        ("OrtHardwareDeviceType_CPU", OrtHardwareDeviceType::OrtHardwareDeviceType_CPU as i32),
        ("ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT", f32::ELEMENT),
        ("ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64", i64::ELEMENT),
        ("ONNX_TENSOR_ELEMENT_DATA_TYPE_DOUBLE", f64::ELEMENT),
    ]
}

/// A type in C's words, of one in Rust's. Qualifiers stand behind their type, so that nothing needs brackets.
fn in_c(rust: &str) -> String {
    if let Some(to) = rust.strip_prefix("*const ") {
        return format!("{} const *", in_c(to));
    }
    if let Some(to) = rust.strip_prefix("*mut ") {
        return format!("{} *", in_c(to));
    }
    if let Some((_, signature)) = rust.split_once("fn(") {
        return function_in_c(signature);
    }
    let name = rust.rsplit("::").next().unwrap_or(rust);
    match name {
        "c_void" | "()" => "void",
        "i8" | "u8" => "char",
        "i32" => "int",
        "i64" => "int64_t",
        "u32" => "uint32_t",
        "usize" => "size_t",
        "bool" => "_Bool",
        "OrtStatusPtr" => "OrtStatus *",
        "DataTransfer" => "OrtDataTransferImpl",
        "SyncStream" => "OrtSyncStreamImpl",
        "GraphSupportInfo" => "OrtEpGraphSupportInfo",
        own if rust.contains(env!("CARGO_CRATE_NAME")) => return format!("Ort{own}"),
        other => other,
    }
    .to_string()
}

/// A pointer to a function, of the text behind `fn(` in Rust.
fn function_in_c(signature: &str) -> String {
    let (mut depth, mut parameters, mut first) = (0, Vec::new(), 0);
    let mut end = signature.len();
    for (at, letter) in signature.char_indices() {
        match letter {
            '(' => depth += 1,
            ')' if depth > 0 => depth -= 1,
            ',' | ')' if depth == 0 => {
                parameters.push(signature[first..at].trim());
                first = at + 1;
                if letter == ')' {
                    end = at + 1;
                    break;
                }
            }
            _ => {}
        }
    }
    let parameters: Vec<String> =
        parameters.into_iter().filter(|parameter| !parameter.is_empty()).map(in_c).collect();
    let parameters = if parameters.is_empty() { "void".to_string() } else { parameters.join(", ") };
    let result = signature[end..].trim().strip_prefix("-> ").map_or("void".to_string(), in_c);
    format!("{result} (*)({parameters})")
}

/// A C program of assertions.
struct Assertions {
    program: String,
    count: usize,
}

impl Assertions {
    fn new() -> Self {
        let includes = "#include <stddef.h>
#include \"onnxruntime_c_api.h\"
";
        Self { program: includes.to_string(), count: 0 }
    }

    fn add(&mut self, condition: &str) {
        let text = condition.replace('"', "'");
        writeln!(self.program, "_Static_assert({condition}, \"{text}\");").expect("there is memory");
        self.count += 1;
    }

    fn same_type(&mut self, c: &str, rust: &str) {
        self.add(&format!("__builtin_types_compatible_p({c}, {})", in_c(rust)));
    }

    fn field(&mut self, of: &str, Field { name, offset, kind }: &Field) {
        self.add(&format!("offsetof({of}, {name}) == {offset}"));
        if *kind != type_name::<LeftOut>() {
            self.same_type(&format!("__typeof__((({of} *)0)->{name})"), kind);
        }
    }

    /// Whether the compiler finds all of them true, with the headers of a folder.
    fn hold(&self, compiler: &Path, headers: &Path) -> Result<(), String> {
        let folder = headers.join(format!("check-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("the headers' folder can be written");
        let file = folder.join("check.c");
        std::fs::write(&file, &self.program).expect("the headers' folder can be written");
        let done =
            run(Command::new(compiler).args(["-std=c11", "-fsyntax-only", "-I"]).arg(headers).arg(&file));
        std::fs::remove_dir_all(&folder).expect("it was made here");
        let done = done.expect("the compiler runs");
        if done.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&done.stderr).into_owned()) }
    }
}

fn run(command: &mut Command) -> Option<Output> {
    command.output().ok()
}

/// Says something although the test passes.
fn say(text: &str) {
    writeln!(std::io::stderr(), "{text}").expect("there is somebody to say it to");
}

/// A C compiler and the folder of the headers, or why there are none.
fn tools() -> Result<(PathBuf, PathBuf), String> {
    let compiler = PathBuf::from(std::env::var_os("CC").unwrap_or_else(|| "cc".into()));
    if run(Command::new(&compiler).arg("--version")).is_none() {
        return Err("there is no C compiler".to_string());
    }
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let headers = here.join("../../target/onnxruntime/headers");
    match run(Command::new("bash").arg(here.join("tests/headers.sh")).arg(&headers)) {
        Some(done) if done.status.success() => Ok((compiler, headers)),
        Some(done) => Err(String::from_utf8_lossy(&done.stderr).trim().to_string()),
        None => Err("there is no bash".to_string()),
    }
}

/// The text of a struct in a header.
fn text_of<'h>(name: &str, header: &'h str) -> &'h str {
    let (_, text) = header.split_once(&format!("struct {name} {{")).expect("the header has the struct");
    text.split_once("\n};").expect("the struct ends").0
}

/// The minor versions since which members of a struct are there, in their order.
fn versions(text: &str) -> Vec<u32> {
    let version =
        |since: &str| since.split(|c: char| !c.is_ascii_digit()).next().and_then(|v| v.parse().ok());
    text.split("\\since Version 1.").skip(1).map(|since| version(since).expect("a version")).collect()
}

fn assertions(header: &str) -> Assertions {
    let mut all = Assertions::new();
    all.add(&format!("ORT_API_VERSION >= {API_VERSION}"));
    for Declared { name, size, fields } in declared() {
        fields.iter().for_each(|field| all.field(name, field));
        let text = text_of(name, header);
        let known = versions(text).into_iter().filter(|&version| version <= API_VERSION).count();
        assert_eq!(fields.len(), known, "members of {name} up to version {API_VERSION}");
        // Members of later versions follow.
        let is_longer = versions(text).len() > known;
        all.add(&format!("sizeof({name}) {} {size}", if is_longer { ">" } else { "==" }));
    }
    for (name, fields) in called() {
        fields.iter().for_each(|field| all.field(name, field));
    }
    for (name, number) in numbers() {
        all.add(&format!("{name} == {number}"));
    }
    all.same_type("CreateEpApiFactoriesFn", type_name::<CreateEpFactories>());
    all.same_type("ReleaseEpApiFactoryFn", type_name::<ReleaseEpFactory>());
    all.same_type("OrtStatusPtr", type_name::<OrtStatusPtr>());
    all
}

#[test]
fn structs_lie_and_functions_are_called_as_the_header_declares_them() {
    let (compiler, headers) = match tools() {
        Ok(tools) => tools,
        Err(reason) => return say(&format!("ONNX Runtime's header: NOT TESTED, {reason}")),
    };
    let header = std::fs::read_to_string(headers.join("onnxruntime_ep_c_api.h")).expect("it was fetched");
    let all = assertions(&header);
    if let Err(words) = all.hold(&compiler, &headers) {
        panic!("the header says otherwise:\n{words}");
    }
    // The compiler finds mistakes: a field one place further, another type of parameter, another number.
    for wrong in [
        "offsetof(OrtEp, Compile) == 32".to_string(),
        "__builtin_types_compatible_p(__typeof__(((OrtEp *)0)->GetName), char const * (*)(OrtEp *))"
            .to_string(),
        format!("ORT_EP_FAIL == {}", OrtErrorCode::ORT_EP_FAIL as i32 + 1),
    ] {
        let mut one = Assertions::new();
        one.add(&wrong);
        let words = one.hold(&compiler, &headers).expect_err("a wrong assertion holds");
        assert!(words.contains("static assertion failed"), "{words}");
    }
    say(&format!("ONNX Runtime's header: {} offsets, sizes, types and numbers are as declared", all.count));
}

#[test]
fn every_function_that_is_called_is_held_against_the_header() {
    let sources = [
        include_str!("../host/call.rs"),
        include_str!("../host/handle.rs"),
        include_str!("../host/node.rs"),
        include_str!("../host/support.rs"),
        include_str!("../host/table.rs"),
    ];
    let checked: BTreeSet<&str> =
        called().into_iter().flat_map(|(_, fields)| fields).map(|field| field.name).collect();
    let is_word = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    // `(host.api.Name)(…)`, `self.api.Name`, and `method = Name:` in the lists.
    let mut called = BTreeSet::new();
    for source in sources {
        for begin in ["api.", "base.", " = "] {
            for rest in source.split(begin).skip(1) {
                let end = rest.find(|letter| !is_word(letter)).unwrap_or(rest.len());
                let is_listed = begin != " = " || rest[end..].starts_with(": Ort");
                if is_listed && rest.starts_with(|letter: char| letter.is_ascii_uppercase()) {
                    called.insert(&rest[..end]);
                }
            }
        }
    }
    assert!(called.len() > 40, "{called:?}");
    assert_eq!(called.difference(&checked).collect::<Vec<_>>(), Vec::<&&str>::new());
}

#[test]
fn types_are_said_in_c() {
    let said = in_c(
        "unsafe extern \"system\" fn(*const *const ort_sys::OrtNode, usize, unsafe extern \"C\" fn(*mut c_void, usize)) -> *const i8",
    );
    assert_eq!(said, "char const * (*)(OrtNode const * const *, size_t, void (*)(void *, size_t))");
    assert_eq!(in_c("unsafe extern \"system\" fn()"), "void (*)(void)");
}
