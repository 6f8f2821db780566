//! mps storage.

use std::{
    io::IsTerminal,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressStyle};
use mps_proto::v1::{
    AccessKey, CreateFolderRequest, CreateStorageRequest, DeleteObjectsRequest, DeleteStorageRequest, ListObjectsRequest,
    ListObjectsResponse, ListStoragesRequest, ListStoragesResponse, Storage, StorageAccess, StorageCredentials, StorageKind,
    TestStorageRequest, TestStorageResponse, storage_credentials,
};

use crate::{
    args::{Access, Provider, StorageAddArgs, StorageCommand},
    context::Context,
    exit::{self, Exit, UsageError},
    output::{Table, bytes, print_json, print_line, time, word},
    reference::object,
};

pub async fn run(context: &Context, command: StorageCommand) -> anyhow::Result<Exit> {
    match command {
        StorageCommand::Add(args) => add(context, *args).await?,
        StorageCommand::List => list(context).await?,
        StorageCommand::Remove { storage } => {
            let request = DeleteStorageRequest {
                name: context.name("storages", &storage),
                ..Default::default()
            };
            context.client.storages().delete_storage(request).await?;
            print_line("removed; its objects stay");
        }
        StorageCommand::Test { storage } => return test(context, &storage).await,
        StorageCommand::Policy { storage } => print_line(&checks(context, &storage).await?.least_policy),
        StorageCommand::Ls { place, recursive } => list_objects(context, &place, recursive).await?,
        StorageCommand::Upload { files, to } => upload(context, &files, &to).await?,
        StorageCommand::Download { object, file } => download(context, &object, file).await?,
        StorageCommand::Mkdir { place } => {
            let (storage, key) = object(&place);
            let request = CreateFolderRequest {
                storage: context.name("storages", &storage),
                key: if key.ends_with('/') { key } else { key + "/" },
            };
            context.client.storages().create_folder(request).await?;
        }
        StorageCommand::Rm { objects } => return remove_objects(context, &objects).await,
    }
    Ok(exit::SUCCESS)
}

async fn add(context: &Context, args: StorageAddArgs) -> anyhow::Result<()> {
    let credentials = credentials(&args)?;
    let kind = match args.kind {
        Provider::S3 => StorageKind::S3,
        Provider::Cos => StorageKind::Cos,
        Provider::S3Compatible => StorageKind::S3Compatible,
    };
    let access = match args.access {
        Access::Read => StorageAccess::Read,
        Access::Write => StorageAccess::Write,
        Access::ReadWrite => StorageAccess::ReadWrite,
    };
    let storage = Storage {
        kind: kind as i32,
        bucket: args.bucket,
        region: args.region,
        endpoint: args.endpoint,
        worker_endpoint: args.worker_endpoint,
        public_endpoint: args.public_endpoint,
        path_style: args.path_style,
        prefix: args.prefix,
        access: access as i32,
        credentials: Some(credentials),
        ..Default::default()
    };
    let request = CreateStorageRequest {
        parent: context.parent(),
        storage_id: args.id,
        storage: Some(storage),
        create_bucket: args.create_bucket,
        request_id: mps_proto::name::new_id(),
    };
    let storage = context
        .client
        .storages()
        .create_storage(request)
        .await?
        .into_inner()
        .storage
        .unwrap_or_default();
    if context.json {
        return print_json("mps.v1.Storage", &storage);
    }
    print_line(&storage.name);
    eprintln!(
        "to see what it permits: mps storage test {}",
        storage.name.rsplit('/').next().unwrap_or_default()
    );
    Ok(())
}

fn credentials(args: &StorageAddArgs) -> Result<StorageCredentials, UsageError> {
    use storage_credentials::Kind;
    let kind = match (&args.access_key_id, &args.secret_access_key, &args.assume_role) {
        (_, _, Some(role)) => Kind::AssumeRoleArn(role.clone()),
        (Some(id), Some(secret), None) => Kind::AccessKey(AccessKey {
            access_key_id: id.clone(),
            secret_access_key: secret.clone(),
            session_token: args.session_token.clone().unwrap_or_default(),
        }),
        (Some(_), None, None) => return Err(UsageError("--secret-access-key is missing (or AWS_SECRET_ACCESS_KEY)".into())),
        _ => Kind::Ambient(true),
    };
    Ok(StorageCredentials { kind: Some(kind) })
}

async fn list(context: &Context) -> anyhow::Result<()> {
    let mut all = ListStoragesResponse::default();
    let mut request = ListStoragesRequest {
        parent: context.parent(),
        page_size: 1000,
        ..Default::default()
    };
    loop {
        let page = context.client.storages().list_storages(request.clone()).await?.into_inner();
        all.storages.extend(page.storages);
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    if context.json {
        return print_json("mps.v1.ListStoragesResponse", &all);
    }
    let mut table = Table::new(["STORAGE", "KIND", "BUCKET", "ENDPOINT", "ACCESS"]);
    for storage in all.storages {
        let id = storage.name.rsplit('/').next().unwrap_or_default().to_owned();
        let kind = word(storage.kind().as_str_name(), "STORAGE_KIND_");
        let access = word(storage.access().as_str_name(), "STORAGE_ACCESS_");
        table.row([id, kind, storage.bucket, storage.endpoint, access]);
    }
    table.print();
    Ok(())
}

async fn checks(context: &Context, storage: &str) -> anyhow::Result<TestStorageResponse> {
    let name = context.name("storages", storage);
    Ok(context
        .client
        .storages()
        .test_storage(TestStorageRequest { name })
        .await?
        .into_inner())
}

async fn test(context: &Context, storage: &str) -> anyhow::Result<Exit> {
    let answer = checks(context, storage).await?;
    if context.json {
        print_json("mps.v1.TestStorageResponse", &answer)?;
    } else {
        let mut table = Table::new(["", "CHECK", "ENDPOINT", "MESSAGE"]);
        for check in &answer.checks {
            let mark = if check.ok { "ok" } else { "FAIL" };
            table.row([mark.into(), check.action.clone(), check.endpoint.clone(), check.message.clone()]);
        }
        table.print();
        if !answer.ok {
            print_line(&format!("the least policy to grant:\n{}", answer.least_policy));
        }
    }
    Ok(if answer.ok { exit::SUCCESS } else { exit::FAILURE })
}

async fn list_objects(context: &Context, place: &str, recursive: bool) -> anyhow::Result<()> {
    let (storage, directory) = place.split_once(':').unwrap_or((place, ""));
    let mut request = ListObjectsRequest {
        storage: context.name("storages", storage),
        directory: if directory.is_empty() || directory.ends_with('/') {
            directory.into()
        } else {
            format!("{directory}/")
        },
        recursive,
        page_size: 1000,
        ..Default::default()
    };
    let mut all = ListObjectsResponse::default();
    loop {
        let page = context.client.storages().list_objects(request.clone()).await?.into_inner();
        all.objects.extend(page.objects);
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    if context.json {
        return print_json("mps.v1.ListObjectsResponse", &all);
    }
    let mut table = Table::new(["SIZE", "WRITTEN", "KEY"]);
    for object in all.objects {
        let size = if object.folder { "-".into() } else { bytes(object.size_bytes) };
        table.row([size, time(object.update_time.as_ref()), object.key]);
    }
    if !table.is_empty() {
        table.print();
    }
    Ok(())
}

/// A bar for a file of known size; hidden where there is no terminal.
pub fn transfer_bar(context: &Context, path: &Path, name: &str) -> anyhow::Result<ProgressBar> {
    let size = std::fs::metadata(path)
        .with_context(|| format!("{} cannot be read", path.display()))?
        .len();
    if context.json || !std::io::stderr().is_terminal() {
        return Ok(ProgressBar::hidden());
    }
    let style = ProgressStyle::with_template("{prefix:<34} {bar:28} {bytes}/{total_bytes} {bytes_per_sec}")?;
    let bar = ProgressBar::new(size).with_style(style);
    bar.set_prefix(format!("upload {name}"));
    Ok(bar)
}

async fn upload(context: &Context, files: &[PathBuf], to: &str) -> anyhow::Result<()> {
    let (storage, target) = object(to);
    let into_folder = target.is_empty() || target.ends_with('/');
    if files.len() > 1 && !into_folder {
        return Err(UsageError("several files need a directory: end it with /".into()).into());
    }
    for file in files {
        let name = file
            .file_name()
            .and_then(|name| name.to_str())
            .context("the file's name is not UTF-8")?;
        let key = if into_folder { format!("{target}{name}") } else { target.clone() };
        let bar = transfer_bar(context, file, name)?;
        let storage = context.name("storages", &storage);
        context
            .client
            .upload_file(&storage, &key, file, |sent| bar.set_position(sent))
            .await?;
        bar.finish_and_clear();
        print_line(&format!("{}:{key}", storage.rsplit('/').next().unwrap_or_default()));
    }
    Ok(())
}

async fn download(context: &Context, text: &str, file: Option<PathBuf>) -> anyhow::Result<()> {
    let (storage, key) = object(text);
    let name = key
        .rsplit('/')
        .next()
        .filter(|name| !name.is_empty())
        .context("the key names a folder")?;
    let path = file.unwrap_or_else(|| name.into());
    context
        .client
        .download(&context.name("storages", &storage), &key, &path, |_| {})
        .await?;
    print_line(&path.display().to_string());
    Ok(())
}

async fn remove_objects(context: &Context, texts: &[String]) -> anyhow::Result<Exit> {
    let mut by_storage: std::collections::BTreeMap<String, Vec<String>> = Default::default();
    for text in texts {
        let (storage, key) = object(text);
        by_storage.entry(storage).or_default().push(key);
    }
    let mut failed = 0;
    for (storage, keys) in by_storage {
        for batch in keys.chunks(1000) {
            let request = DeleteObjectsRequest {
                storage: context.name("storages", &storage),
                keys: batch.to_vec(),
            };
            let answer = context.client.storages().delete_objects(request).await?.into_inner();
            failed += answer.failed_keys.len();
            for key in answer.failed_keys {
                eprintln!("{storage}:{key} could not be deleted");
            }
        }
    }
    Ok(if failed == 0 { exit::SUCCESS } else { exit::FAILURE })
}
