//! What every command shares: the connection and how results are shown.

use mps_client::Client;

use crate::{args::Global, config};

/// Connection and output of one run of the command.
pub struct Context {
    pub client: Client,
    /// Project of `--project`; empty: the key's own.
    pub project: String,
    pub json: bool,
}

impl Context {
    /// Flags < nothing; environment and file fill in what flags leave open.
    pub async fn open(global: &Global) -> anyhow::Result<Self> {
        let (address, key) = endpoint(global)?;
        let client = Client::connect(&address, &key).await?;
        Ok(Self {
            client,
            project: global.project.clone().unwrap_or_default(),
            json: global.json,
        })
    }

    /// `parent` of requests.
    pub fn parent(&self) -> String {
        match self.project.as_str() {
            "" => String::new(),
            project => format!("projects/{project}"),
        }
    }

    /// Full name where `--project` is given, else the text as it is.
    pub fn name(&self, collection: &str, text: &str) -> String {
        if self.project.is_empty() || text.contains('/') {
            return text.to_owned();
        }
        mps_proto::name::full(&self.project, collection, text)
    }
}

/// Address and key: flag or environment, else the user's file, else the default address without a key.
pub fn endpoint(global: &Global) -> anyhow::Result<(String, String)> {
    let file = match (&global.address, &global.key) {
        (Some(_), Some(_)) => config::UserConfig::default(),
        _ => config::load(&config::path()?)?,
    };
    let address = global
        .address
        .clone()
        .or(file.address)
        .unwrap_or_else(|| config::DEFAULT_ADDRESS.into());
    let key = global.key.clone().or(file.key).unwrap_or_default();
    Ok((address, key))
}
