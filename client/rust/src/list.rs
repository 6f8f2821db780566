//! Lists whose pages are put together.

use mps_proto::v1::{ListTemplatesRequest, Template};

use crate::{Client, ClientError};

/// Most items that a page may have.
const PAGE_SIZE: i32 = 1000;

impl Client {
    /// Every template that the request's parent and filter name: presets and the project's own.
    pub async fn list_templates(&self, request: ListTemplatesRequest) -> Result<Vec<Template>, ClientError> {
        let mut request = ListTemplatesRequest {
            page_size: PAGE_SIZE,
            page_token: String::new(),
            ..request
        };
        let mut found = Vec::new();
        loop {
            let page = self.templates().list_templates(request.clone()).await?.into_inner();
            found.extend(page.templates);
            if page.next_page_token.is_empty() {
                return Ok(found);
            }
            request.page_token = page.next_page_token;
        }
    }
}
