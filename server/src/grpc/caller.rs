//! Who calls: set by the authentication layer as a request extension.

use mps_proto::v1::Role;

use crate::error::ApiError;

/// The authenticated caller of a public RPC.
#[derive(Debug, Clone)]
pub struct Caller {
    /// Project of the key.
    pub project: String,
    pub role: Role,
    /// Whether the key may act in every project.
    pub installation: bool,
    pub key_id: String,
}

impl Caller {
    /// The caller of a request; the authentication layer put it there.
    pub fn of<T>(request: &tonic::Request<T>) -> Result<Self, ApiError> {
        request
            .extensions()
            .get::<Self>()
            .cloned()
            .ok_or_else(|| ApiError::internal("call came without a caller"))
    }

    /// The project of a `parent` field: the key's own when it is empty or `projects/-`.
    /// Another project's is NOT_FOUND unless the key is of the installation.
    pub fn project_of_parent(&self, parent: &str) -> Result<String, ApiError> {
        match mps_proto::name::parse_parent(parent) {
            Ok(None) => Ok(self.project.clone()),
            Ok(Some(project)) if project == self.project || self.installation => Ok(project.to_owned()),
            Ok(Some(_)) => Err(ApiError::not_found(parent)),
            Err(mps_proto::name::MalformedParent) => Err(ApiError::invalid_field(
                "parent",
                "write projects/{project}, projects/-, or leave it empty",
            )),
        }
    }

    /// Project and id of a resource name in a request.
    pub fn resource(&self, name: &str, collection: &str) -> Result<(String, String), ApiError> {
        match mps_proto::name::parse(name, collection) {
            Some((None, id)) => Ok((self.project.clone(), id.to_owned())),
            Some((Some(project), id)) if project == self.project || self.installation => Ok((project.to_owned(), id.to_owned())),
            Some(_) => Err(ApiError::not_found(name)),
            None => Err(ApiError::invalid_field(
                "name",
                format!("write projects/{{project}}/{collection}/{{id}}, or the id alone"),
            )),
        }
    }
}

/// The authenticated caller of WorkerService: set by the authentication layer of the workers' listener.
#[derive(Debug, Clone)]
pub struct WorkerCaller {
    /// The only pool that the token is for; `None`: any.
    pub pool: Option<String>,
}

impl WorkerCaller {
    /// Whether a worker with this token may work for a pool.
    pub fn may_join(&self, pool: &str) -> bool {
        self.pool.as_deref().is_none_or(|only| only == pool)
    }
}
