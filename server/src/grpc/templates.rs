//! TemplateService.
