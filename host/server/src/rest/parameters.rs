//! What routes have in common: parameters in, records out.

use axum::body::Body;
use axum::extract::FromRequestParts;
use axum::response::Response;
use flowhost::model::{Access, Operation, RecordId, RecordType, definition};
use flowhost::{Code, Host, Identity, List, ListRequest, Problem, Reach, RecordView};
use http::header::{ETAG, IF_MATCH, LINK};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde::de::DeserializeOwned;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::answer::{self, ProblemAnswer};

/// The bytes of records that a page has at most, but for the last of them.
pub(crate) const PAGE_BYTES: usize = 4 << 20;

/// Names the part of a list's records that the caller may read.
const SCOPE: HeaderName = HeaderName::from_static("flowhost-scope");

/// What lists leave out unless it is asked for, since it may be large.
pub(crate) const LEFT_OUT: [&str; 2] = ["input_value", "output_value"];

/// The variable segments of the path. Malformed ones are answered as a problem, which the router's own extractor does not.
pub(crate) struct Path<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Path<T> {
    type Rejection = ProblemAnswer;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ProblemAnswer> {
        match axum::extract::Path::from_request_parts(parts, state).await {
            Ok(axum::extract::Path(segments)) => Ok(Self(segments)),
            Err(rejection) => Err(Problem::new(Code::Malformed, rejection.body_text()).into()),
        }
    }
}

/// The parameters of a query.
#[derive(Debug, Default)]
pub(crate) struct Parameters {
    /// Records without a wrapping object.
    pub(crate) is_plain: bool,
    /// The segment in the path is a name, not an id.
    pub(crate) is_by_name: bool,
    /// Only these properties, each once.
    pub(crate) fields: Option<Vec<String>>,
    /// What a list holds.
    pub(crate) list: ListRequest,
    /// Past the trash.
    pub(crate) is_permanent: bool,
    /// Why the change is made, where there is no body to say it.
    pub(crate) commit_message: Option<String>,
    /// What else a route takes.
    pub(crate) others: Vec<(String, String)>,
}

fn malformed(detail: impl Into<String>) -> Problem {
    Problem::new(Code::Malformed, detail)
}

fn flag(name: &str, value: &str) -> Result<bool, Problem> {
    match value.to_ascii_lowercase().as_str() {
        "" | "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err(malformed(format!("`{name}`: must be true or false"))),
    }
}

impl Parameters {
    /// The parameters of a query. `others` are those that the route takes beside the common ones.
    pub(crate) fn parse(query: Option<&str>, others: &[&str]) -> Result<Self, Problem> {
        let mut parameters = Self::default();
        for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            match &*name {
                "plain" => parameters.is_plain = flag(&name, &value)?,
                "by" if value == "name" => parameters.is_by_name = true,
                "by" if value == "id" => parameters.is_by_name = false,
                "by" => return Err(malformed("`by`: must be `id` or `name`")),
                "fields" => {
                    let mut fields: Vec<String> = value.split(',').map(|field| field.trim().to_owned()).collect();
                    fields.sort_unstable();
                    fields.dedup();
                    parameters.fields = Some(fields);
                }
                "filter" => {
                    let filter = serde_json::from_str(&value);
                    parameters.list.filter = Some(filter.map_err(|error| malformed(format!("`filter`: {error}")))?);
                }
                "order" => parameters.list.order = Some(value.into_owned()),
                "after" => parameters.list.after = Some(value.into_owned()),
                "limit" => {
                    let limit = value.parse().map_err(|_| malformed("`limit`: must be a number"))?;
                    parameters.list.limit = Some(limit);
                }
                "trash" => parameters.list.is_trash = flag(&name, &value)?,
                "permanently" => parameters.is_permanent = flag(&name, &value)?,
                "commit_message" => parameters.commit_message = Some(value.into_owned()),
                // Sent by clients of the modelled system; trashing is never pending here.
                "wait" => {}
                other if others.contains(&other) => parameters.others.push((name.into_owned(), value.into_owned())),
                other => return Err(malformed(format!("`{other}`: there is no such parameter"))),
            }
        }
        Ok(parameters)
    }

    /// The value of a parameter that only this route takes.
    pub(crate) fn other(&self, name: &str) -> Option<&str> {
        self.others.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The properties that were asked for; none for all of them.
    pub(crate) fn fields(&self, record_type: RecordType) -> Result<Option<Vec<String>>, Problem> {
        let definition = definition(record_type);
        let unknown = self.fields.iter().flatten().find(|field| definition.property(field).is_none());
        match unknown {
            Some(unknown) => Err(malformed(format!("`fields`: a {} has no property `{unknown}`", definition.path))),
            None => Ok(self.fields.clone()),
        }
    }

    /// The list that was asked for: without what is large unless that was named, and in pages that end.
    pub(crate) fn list(&self, record_type: RecordType) -> Result<ListRequest, Problem> {
        let fields = self.fields(record_type)?.or_else(|| {
            let mut properties = definition(record_type).all_properties();
            let has_large = properties.any(|property| LEFT_OUT.contains(&property.name));
            has_large.then(|| {
                let properties = definition(record_type).all_properties();
                let shown = properties.filter(|one| one.access != Access::WriteOnly && !LEFT_OUT.contains(&one.name));
                shown.map(|property| property.name.to_owned()).collect()
            })
        });
        Ok(ListRequest { fields, page_bytes: Some(PAGE_BYTES), ..self.list.clone() })
    }

    /// The members that were asked for.
    fn select<M, V>(&self, record_type: RecordType, members: M) -> Result<M, Problem>
    where
        M: IntoIterator<Item = (String, V)> + FromIterator<(String, V)>,
    {
        Ok(match self.fields(record_type)? {
            None => members,
            Some(fields) => members.into_iter().filter(|(name, _)| fields.contains(name)).collect(),
        })
    }

    /// The answer that is one record.
    pub(crate) fn record(&self, record_type: RecordType, view: RecordView) -> Result<Response, Problem> {
        let id = view.id;
        let mut answer = self.one(record_type, view.members)?;
        // For the audit log.
        answer.extensions_mut().insert(id);
        answer.headers_mut().insert(ETAG, etag(view.revision));
        Ok(answer)
    }

    /// The answer that is the members of one record.
    pub(crate) fn one<M, V>(&self, record_type: RecordType, members: M) -> Result<Response, Problem>
    where
        M: IntoIterator<Item = (String, V)> + FromIterator<(String, V)> + Serialize,
    {
        Ok(self.content(definition(record_type).path, self.select(record_type, members)?, None))
    }

    /// The answer that is a page of records, which have what the list was asked for.
    pub(crate) fn page<M: Serialize>(&self, record_type: RecordType, page: List<M>, path_and_query: &str) -> Response {
        self.paged(definition(record_type).path, page, path_and_query)
    }

    /// The answer that is a page of what has this name.
    pub(crate) fn paged<M: Serialize>(&self, name: &str, page: List<M>, path_and_query: &str) -> Response {
        let mut answer = self.content(name, page.items, page.next.as_deref());
        if let Some(link) = page.next.and_then(|next| next_link(path_and_query, &next)) {
            answer.headers_mut().insert(LINK, link);
        }
        answer
    }

    /// The answer that is this content: bare where `plain` was asked for, else in an object.
    pub(crate) fn content(&self, name: &str, content: impl Serialize, next: Option<&str>) -> Response {
        let answer = if self.is_plain {
            answer::json(StatusCode::OK, &content)
        } else {
            answer::json(StatusCode::OK, &Wrapped { name, content, next })
        };
        answer.map(Body::new)
    }
}

/// Content in an object, under its name.
struct Wrapped<'a, C> {
    name: &'a str,
    content: C,
    next: Option<&'a str>,
}

impl<C: Serialize> Serialize for Wrapped<'_, C> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_map(None)?;
        object.serialize_entry(self.name, &self.content)?;
        if let Some(next) = self.next {
            object.serialize_entry("next", next)?;
        }
        object.end()
    }
}

/// Says on a list's answer which of its records the caller may read: an empty list alone does not tell "none" from "none for you".
pub(crate) fn say_scope(answer: &mut Response, by: &Identity, record_type: RecordType) {
    let scope = match by.access.projects(Operation::Read, record_type) {
        Reach::Everything => "everything",
        Reach::Projects(_) => "projects",
        Reach::Nothing if record_type == RecordType::Project && by.access.own_projects().next().is_some() => "projects",
        Reach::Nothing => "nothing",
    };
    answer.headers_mut().insert(SCOPE, HeaderValue::from_static(scope));
}

/// Where the next page is, for `Link`.
fn next_link(path_and_query: &str, next: &str) -> Option<HeaderValue> {
    let (path, query) = path_and_query.split_once('?').unwrap_or((path_and_query, ""));
    let kept = form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name != "after");
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(kept).append_pair("after", next).finish();
    HeaderValue::try_from(format!("<{path}?{query}>; rel=\"next\"")).ok()
}

/// The entity tag of a revision.
pub(crate) fn etag(revision: u64) -> HeaderValue {
    HeaderValue::try_from(format!("\"{revision}\"")).unwrap_or_else(|_| HeaderValue::from_static("\"\""))
}

/// The revision that the writer has read; none where any will do.
pub(crate) fn if_match(headers: &HeaderMap) -> Result<Option<u64>, Problem> {
    let Some(value) = headers.get(IF_MATCH) else {
        return Ok(None);
    };
    let value = value.to_str().map_err(|_| malformed("`If-Match`: must be an entity tag"))?.trim();
    if value == "*" {
        return Ok(None);
    }
    // A tag that this host did not make matches no record.
    let revision = value.trim_start_matches("W/").trim_matches('"').parse();
    Ok(Some(revision.unwrap_or(u64::MAX)))
}

/// The id that a segment is.
pub(crate) fn id(segment: &str) -> Result<RecordId, Problem> {
    let detail = || format!("`{segment}` is not an id; to give a name instead, add `?by=name`");
    segment.parse().map_err(|_| Problem::new(Code::RecordNotFound, detail()))
}

/// The id of the record that a segment names.
pub(crate) async fn resolve(
    host: &Host,
    by: &Identity,
    record_type: RecordType,
    segment: &str,
    parameters: &Parameters,
) -> Result<RecordId, Problem> {
    if parameters.is_by_name { host.record_id(by, record_type, segment).await } else { id(segment) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_read_and_unknown_ones_refused() {
        let parameters = Parameters::parse(
            Some("plain=True&by=name&fields=id,%20name,id&limit=5&filter=%7B%22field%22:%22name%22%7D"),
            &[],
        )
        .unwrap();
        assert!(parameters.is_plain && parameters.is_by_name);
        assert_eq!(parameters.fields.unwrap(), ["id", "name"]);
        assert_eq!(parameters.list.limit, Some(5));
        for wrong in ["limit=many", "by=nickname", "plain=maybe", "filter={", "colour=red"] {
            assert_eq!(Parameters::parse(Some(wrong), &[]).unwrap_err().code, Code::Malformed, "{wrong}");
        }
    }

    #[test]
    fn the_next_page_keeps_the_other_parameters() {
        let link = next_link("/api/latest/flow?plain=true&after=old&limit=2", "a+b").unwrap();
        assert_eq!(link, "</api/latest/flow?plain=true&limit=2&after=a%2Bb>; rel=\"next\"");
    }

    #[test]
    fn a_foreign_tag_matches_nothing() {
        let of = |value: &'static str| {
            if_match(&HeaderMap::from_iter([(IF_MATCH, HeaderValue::from_static(value))])).unwrap()
        };
        assert_eq!((of("\"7\""), of("*"), of("\"abc\"")), (Some(7), None, Some(u64::MAX)));
    }
}
