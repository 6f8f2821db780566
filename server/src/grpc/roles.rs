//! Who may call what: one table over every public method.

use std::{collections::HashMap, sync::LazyLock};

use mps_proto::v1::Role::{self, Admin, Operator, Viewer};

/// What a call needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// Anybody may call.
    Open,
    /// Anybody, where `open_reflection` is set; else any key.
    Reflection,
    /// A key with at least this role.
    Role(Role),
}

/// Every public method and its rule.
const RULES: &[(&str, Rule)] = &[
    ("/mps.v1.TaskService/ProcessMedia", Rule::Role(Operator)),
    ("/mps.v1.TaskService/GetTask", Rule::Role(Viewer)),
    ("/mps.v1.TaskService/ListTasks", Rule::Role(Viewer)),
    (WAIT_TASK, Rule::Role(Viewer)),
    ("/mps.v1.TaskService/WatchTasks", Rule::Role(Viewer)),
    ("/mps.v1.TaskService/CancelTask", Rule::Role(Operator)),
    ("/mps.v1.TaskService/RestartTask", Rule::Role(Operator)),
    ("/mps.v1.TaskService/DeleteTask", Rule::Role(Operator)),
    ("/mps.v1.TemplateService/GetTemplate", Rule::Role(Viewer)),
    ("/mps.v1.TemplateService/ListTemplates", Rule::Role(Viewer)),
    ("/mps.v1.TemplateService/CreateTemplate", Rule::Role(Operator)),
    ("/mps.v1.TemplateService/UpdateTemplate", Rule::Role(Operator)),
    ("/mps.v1.TemplateService/DeleteTemplate", Rule::Role(Operator)),
    ("/mps.v1.StorageService/CreateStorage", Rule::Role(Admin)),
    ("/mps.v1.StorageService/GetStorage", Rule::Role(Viewer)),
    ("/mps.v1.StorageService/ListStorages", Rule::Role(Viewer)),
    ("/mps.v1.StorageService/UpdateStorage", Rule::Role(Admin)),
    ("/mps.v1.StorageService/DeleteStorage", Rule::Role(Admin)),
    ("/mps.v1.StorageService/TestStorage", Rule::Role(Operator)),
    ("/mps.v1.StorageService/ListBuckets", Rule::Role(Admin)),
    ("/mps.v1.StorageService/ListObjects", Rule::Role(Viewer)),
    ("/mps.v1.StorageService/CreateFolder", Rule::Role(Operator)),
    ("/mps.v1.StorageService/DeleteObjects", Rule::Role(Operator)),
    ("/mps.v1.StorageService/CreateUpload", Rule::Role(Operator)),
    ("/mps.v1.StorageService/CompleteUpload", Rule::Role(Operator)),
    ("/mps.v1.StorageService/CreateDownload", Rule::Role(Viewer)),
    ("/mps.v1.StorageService/ProbeMedia", Rule::Role(Operator)),
    ("/mps.v1.SystemService/GetServerInfo", Rule::Role(Viewer)),
    ("/mps.v1.SystemService/ListWorkers", Rule::Role(Viewer)),
    ("/mps.v1.SystemService/DrainWorker", Rule::Role(Admin)),
    ("/mps.v1.AccessService/CreateProject", Rule::Role(Admin)),
    ("/mps.v1.AccessService/ListProjects", Rule::Role(Viewer)),
    ("/mps.v1.AccessService/CreateApiKey", Rule::Role(Admin)),
    ("/mps.v1.AccessService/ListApiKeys", Rule::Role(Admin)),
    ("/mps.v1.AccessService/RevokeApiKey", Rule::Role(Admin)),
    ("/grpc.health.v1.Health/Check", Rule::Open),
    ("/grpc.health.v1.Health/List", Rule::Open),
    ("/grpc.health.v1.Health/Watch", Rule::Open),
    ("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", Rule::Reflection),
    ("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", Rule::Reflection),
];

/// The one unary method that waits on purpose.
pub(super) const WAIT_TASK: &str = "/mps.v1.TaskService/WaitTask";

static BY_PATH: LazyLock<HashMap<&str, Rule>> = LazyLock::new(|| RULES.iter().copied().collect());

/// The rule of a path; `None` where there is no such method.
pub fn rule(path: &str) -> Option<Rule> {
    BY_PATH.get(path).copied()
}

/// A role as the contract's comments write it.
pub(super) fn name(role: Role) -> &'static str {
    match role {
        Role::Unspecified => "none",
        Viewer => "viewer",
        Operator => "operator",
        Admin => "admin",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grpc::reflection;

    /// Paths of the contract's methods with the comment above each.
    fn methods() -> Vec<(String, String)> {
        let mut methods = Vec::new();
        for file in reflection::descriptors().file {
            let comments = file.source_code_info.clone().unwrap_or_default().location;
            for (at, service) in file.service.iter().enumerate() {
                for (number, method) in service.method.iter().enumerate() {
                    // 6: services of a file, 2: methods of a service.
                    let path = [6, at as i32, 2, number as i32];
                    let comment = comments.iter().find(|location| location.path == path).unwrap();
                    let name = format!("/{}.{}/{}", file.package(), service.name(), method.name());
                    methods.push((name, comment.leading_comments().to_owned()));
                }
            }
        }
        methods
    }

    #[test]
    fn every_method_has_the_role_that_its_comment_promises() {
        let methods = methods();
        assert!(methods.len() > 30);
        for (path, comment) in &methods {
            let Some(Rule::Role(role)) = rule(path) else {
                panic!("{path} has no role")
            };
            let promise = format!("Role: {}.", name(role));
            assert!(comment.contains(&promise), "{path} needs {role:?}, its comment says {comment}");
        }
        let ours = RULES.iter().filter(|(path, _)| path.starts_with("/mps.")).count();
        assert_eq!(ours, methods.len(), "a rule names a method that is not there");
    }
}
