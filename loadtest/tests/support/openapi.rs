//! Checks answers of chapter 6 against its document at `/openapi.json`.

use std::net::SocketAddr;

use loadtest::buyer::client::Reply;
use serde_json::{Value, json};

use super::requests::request;

/// The OpenAPI document.
pub struct Document(pub Value);

impl Document {
    pub async fn of(shop: SocketAddr) -> Document {
        Document(serde_json::from_slice(&request(shop, "GET /openapi.json", &[], "").await.body).expect("JSON"))
    }

    /// All paths with their methods.
    pub fn operations(&self) -> Vec<(&str, &str)> {
        let paths = self.0["paths"].as_object().unwrap();
        paths
            .iter()
            .flat_map(|(path, methods)| methods.as_object().unwrap().keys().map(|m| (path.as_str(), m.as_str())))
            .collect()
    }

    /// The document's path that matches this one; a path without parameters comes first.
    pub fn template(&self, path: &str) -> Option<&str> {
        let path = path.split('?').next().unwrap();
        let is_one_of = |template: &&str| {
            let (ours, theirs) = (path.split('/'), template.split('/'));
            path.split('/').count() == template.split('/').count()
                && ours.zip(theirs).all(|(one, other)| other.starts_with('{') || one == other)
        };
        let mut all: Vec<&str> = self.0["paths"].as_object().unwrap().keys().map(String::as_str).collect();
        all.sort_by_key(|template| template.matches('{').count());
        all.into_iter().find(is_one_of)
    }

    /// Resolves a reference.
    pub fn follow<'a>(&'a self, value: &'a Value) -> &'a Value {
        match value["$ref"].as_str() {
            Some(reference) => self.0.pointer(reference.trim_start_matches('#')).expect(reference),
            None => value,
        }
    }

    /// Whether a value matches this schema; the error says why not.
    pub fn check(&self, schema: &Value, value: &Value) -> Result<(), String> {
        let mut whole = schema.clone();
        whole["components"] = self.0["components"].clone();
        let validator = jsonschema::validator_for(&whole).map_err(|error| error.to_string())?;
        validator.validate(value).map_err(|error| format!("{error}: {value}"))
    }

    /// Whether the document allows this answer to `line`, a method and a path; the error says why not.
    pub fn allows(&self, line: &str, reply: &Reply) -> Result<(), String> {
        let (method, path) = line.split_once(' ').unwrap();
        let wrong = |what: &str| Err(format!("{line}: {} {what}: {:?}", reply.status, reply.body));
        let kind = reply.headers.get("content-type").and_then(|kind| kind.to_str().ok());
        let kind = kind.map(|kind| kind.split(';').next().unwrap().to_owned());
        let operation = self.template(path).map(|template| &self.0["paths"][template][method.to_lowercase()]);
        let body = || serde_json::from_slice(&reply.body).map_err(|error| format!("{line}: {error}"));
        let Some(Value::Object(operation)) = operation else {
            // The document has no such operation.
            return match reply.status.as_u16() {
                404 | 405 => self.check(&json!({ "$ref": "#/components/schemas/Problem" }), &body()?),
                _ => wrong("to what is not in the document"),
            };
        };
        let answer = &operation["responses"][reply.status.as_str()];
        if answer.is_null() {
            return wrong("is not in the document");
        }
        let answer = self.follow(answer);
        let Some(content) = answer["content"].as_object() else { return Ok(()) };
        let Some(described) = kind.and_then(|kind| content.get(&kind)) else { return wrong("of another type") };
        match described.get("schema") {
            Some(schema) => self.check(schema, &body()?),
            None => Ok(()),
        }
    }
}
