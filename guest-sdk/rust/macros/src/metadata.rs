//! What a flow says about itself: the arguments of `#[flow]`, as JSON for the component.

use std::path::Path;

use proc_macro2::{Span, TokenStream};
use quote::quote;
use serde_json::{Map, Value};
use syn::parse::Parser;
use syn::punctuated::Punctuated;
use syn::{Error, Expr, ExprLit, Lit, LitByteStr, LitStr, Meta, Result, Token};

const EXPECTED: &str = "`#[flow]` takes `title`, `description`, `input_schema`, `output_schema`, `hosts` and `secrets`";

/// The most bytes that a host takes.
const LIMIT: usize = 64 << 10;

/// What the arguments become.
#[derive(Default)]
pub(crate) struct Metadata {
    members: Map<String, Value>,
    /// The files of the schemas, so that a change of one builds the flow anew.
    files: Vec<String>,
}

impl Metadata {
    /// Reads the arguments; the error says what is wrong with which.
    pub(crate) fn parse(arguments: TokenStream) -> Result<Self> {
        let mut metadata = Self::default();
        for argument in Punctuated::<Meta, Token![,]>::parse_terminated.parse2(arguments)? {
            let argument = argument.require_name_value().map_err(|error| Error::new(error.span(), EXPECTED))?;
            let name = argument.path.get_ident().map(ToString::to_string).unwrap_or_default();
            let value = match name.as_str() {
                "title" | "description" => Value::String(text(&argument.value)?.value()),
                "hosts" | "secrets" => texts(&argument.value)?,
                "input_schema" | "output_schema" => metadata.schema(&text(&argument.value)?)?,
                _ => return Err(Error::new_spanned(&argument.path, format!("unknown `{name}`; {EXPECTED}"))),
            };
            if metadata.members.insert(name.clone(), value).is_some() {
                return Err(Error::new_spanned(&argument.path, format!("`{name}` is there twice")));
            }
        }
        Ok(metadata)
    }

    /// A schema: the JSON in a file, named by its path from the folder of the crate's `Cargo.toml`.
    fn schema(&mut self, path: &LitStr) -> Result<Value> {
        let refused = |why: String| Error::new_spanned(path, why);
        let folder = std::env::var("CARGO_MANIFEST_DIR").map_err(|error| refused(error.to_string()))?;
        let file = Path::new(&folder).join(path.value());
        let file = file.to_str().ok_or_else(|| refused("the path is no text".into()))?;
        let json = std::fs::read(file).map_err(|error| refused(format!("{file} cannot be read: {error}")))?;
        let schema = serde_json::from_slice(&json).map_err(|error| refused(format!("{file} is no JSON: {error}")))?;
        self.files.push(file.to_owned());
        Ok(schema)
    }

    /// The part of the component that holds it; nothing where nothing was said.
    pub(crate) fn section(self) -> Result<TokenStream> {
        let Self { members, files } = self;
        if members.is_empty() {
            return Ok(TokenStream::new());
        }
        let json = Value::Object(members).to_string();
        if json.len() > LIMIT {
            let why = format!("what the flow says about itself has {} bytes, at most {LIMIT} are allowed", json.len());
            return Err(Error::new(Span::call_site(), why));
        }
        let (length, json) = (json.len(), LitByteStr::new(json.as_bytes(), Span::call_site()));
        Ok(quote! {
            #(const _: &[u8] = ::core::include_bytes!(#files);)*

            #[cfg(target_family = "wasm")]
            #[allow(unsafe_code)]
            const _: () = {
                #[used]
                #[unsafe(link_section = "flowhost:flow")]
                static METADATA: [u8; #length] = *#json;
            };
        })
    }
}

fn text(value: &Expr) -> Result<LitStr> {
    match value {
        Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Ok(text.clone()),
        other => Err(Error::new_spanned(other, "expected a text in quotes")),
    }
}

fn texts(value: &Expr) -> Result<Value> {
    match value {
        Expr::Array(list) => list.elems.iter().map(|one| Ok(Value::String(text(one)?.value()))).collect(),
        other => Err(Error::new_spanned(other, "expected a list of texts: `[\"one\", \"two\"]`")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(arguments: TokenStream) -> Value {
        Value::Object(Metadata::parse(arguments).unwrap().members)
    }

    #[test]
    fn arguments_become_json() {
        let said = json(quote!(title = "A \"title\"", hosts = ["https://a.example"], secrets = ["s", "t"]));
        let expected =
            serde_json::json!({ "title": "A \"title\"", "hosts": ["https://a.example"], "secrets": ["s", "t"] });
        assert_eq!(said, expected);
        assert!(Metadata::parse(TokenStream::new()).unwrap().section().unwrap().is_empty());
        let section = Metadata::parse(quote!(title = "A")).unwrap().section().unwrap().to_string();
        assert!(section.contains("\"flowhost:flow\"") && section.contains("[u8 ; 13usize]"), "{section}");
    }

    #[test]
    fn a_refusal_says_what_is_wrong() {
        for (arguments, why) in [
            (quote!(name = "x"), "unknown `name`; `#[flow]` takes `title`"),
            (quote!(title), "`#[flow]` takes `title`"),
            (quote!(title = 1), "expected a text in quotes"),
            (quote!(title = "a", title = "b"), "`title` is there twice"),
            (quote!(hosts = "https://a.example"), "expected a list of texts"),
            (quote!(input_schema = "no/such/file.json"), "cannot be read"),
            (quote!(input_schema = "Cargo.toml"), "is no JSON"),
        ] {
            let refused = Metadata::parse(arguments).err().unwrap().to_string();
            assert!(refused.contains(why), "{refused}");
        }
        let long = "x".repeat(LIMIT);
        let refused = Metadata::parse(quote!(description = #long)).unwrap().section().unwrap_err();
        assert!(refused.to_string().contains("at most 65536"), "{refused}");
    }
}
