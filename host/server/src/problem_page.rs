//! Problems as pages, for people who open an address of this host in a browser.

use bytes::Bytes;
use flowhost::model::RecordId;
use flowhost::{Problem, Violation};
use http::header::{ACCEPT, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, VARY};
use http::{HeaderMap, HeaderValue, Response};
use http_body_util::{Either, Full};

use crate::answer::AnswerBody;

const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");

/// The words of a problem, which its answer carries until it is known who reads it.
#[derive(Clone, Debug)]
pub(crate) struct Words {
    detail: String,
    violations: Vec<Violation>,
    title: &'static str,
    code: &'static str,
    execution: Option<RecordId>,
}

impl Words {
    pub(crate) fn of(problem: &Problem) -> Self {
        let info = problem.code.info();
        Self {
            detail: problem.detail.clone(),
            violations: problem.violations.clone(),
            title: info.title,
            code: info.name,
            execution: problem.execution.as_ref().map(|execution| execution.id),
        }
    }
}

/// Makes a page of the answer if it is a problem of this host and the request's sender would rather have HTML than JSON. Status and
/// header fields stay as they are, but for those that describe the body.
pub(crate) fn for_reader(wants_page: bool, mut answer: Response<AnswerBody>) -> Response<AnswerBody> {
    let Some(words) = answer.extensions_mut().remove::<Words>() else { return answer };
    answer.headers_mut().append(VARY, HeaderValue::from_static("accept"));
    if !wants_page {
        return answer;
    }
    let page = page(&words, answer.status().as_u16());
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HTML);
    headers.remove(CONTENT_LENGTH);
    // The page has nothing that runs or loads; this holds also if a word of it should not be escaped.
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'"));
    answer.map(|_document| Either::Left(Full::new(Bytes::from(page))))
}

/// Returns whether a request prefers HTML to JSON, as browsers do when a person opens an address.
pub(crate) fn is_wanted(headers: &HeaderMap) -> bool {
    let lines = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let mut html = Preference::default();
    let mut json = Preference::default();
    for range in lines.flat_map(|line| line.split(',')) {
        let mut parts = range.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default().to_ascii_lowercase();
        let quality = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
        let quality = quality.map_or(1.0, |quality| quality.parse().unwrap_or(0.0));
        match name.as_str() {
            // Not a media range. Java's `HttpURLConnection` sends it, together with `text/html`: a program, not a person.
            "*" => return false,
            "*/*" => [&mut html, &mut json].map(|one| one.note(0, quality)),
            "text/*" => [html.note(1, quality); 2],
            "application/*" => [json.note(1, quality); 2],
            "text/html" => [html.note(2, quality); 2],
            "application/json" | "application/problem+json" => [json.note(2, quality); 2],
            _ => continue,
        };
    }
    html.quality > json.quality
}

/// How much a sender wants one media type.
#[derive(Default)]
struct Preference {
    quality: f32,
    /// How exactly the range named the type that said so: the most exact one counts.
    exactness: u8,
}

impl Preference {
    fn note(&mut self, exactness: u8, quality: f32) {
        if exactness > self.exactness || (exactness == self.exactness && quality > self.quality) {
            *self = Self { quality, exactness };
        }
    }
}

fn page(words: &Words, status: u16) -> String {
    let Words { detail, violations, title, code, execution } = words;
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" \
         content=\"width=device-width\">\n<title>{status} {title}</title>\n</head>\n<body>\n<h1>{title}</h1>\n<p>{}</p>\n",
        escaped(detail)
    );
    if !violations.is_empty() {
        let items = violations.iter().map(|violation| {
            format!("<li><code>{}</code> {}</li>\n", escaped(&violation.place), escaped(&violation.reason))
        });
        page.extend(std::iter::once("<ul>\n".to_owned()).chain(items).chain(["</ul>\n".to_owned()]));
    }
    page.push_str(&format!("<p>Code: <code>{code}</code></p>\n"));
    if let Some(execution) = execution {
        page.push_str(&format!("<p>Execution: <code>{execution}</code></p>\n"));
    }
    page.push_str("</body>\n</html>\n");
    page
}

/// The text as HTML shows it, in an element or an attribute.
fn escaped(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut escaped, c| {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
        escaped
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wants(accept: &str) -> bool {
        is_wanted(&HeaderMap::from_iter([(ACCEPT, HeaderValue::from_str(accept).unwrap())]))
    }

    #[test]
    fn browsers_want_a_page_and_programs_do_not() {
        for browser in [
            "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
            "text/html",
            "text/html, application/json;q=0.9",
            "application/json;q=0.5, TEXT/HTML;q=0.6",
            "text/*, */*;q=0.1",
            "*/*, application/json;q=0.1",
        ] {
            assert!(wants(browser), "{browser}");
        }
        for program in [
            "*/*",
            "application/json",
            "application/json, text/plain, */*",
            "text/html, application/json",
            "text/html, application/problem+json",
            "text/html;q=0, */*",
            "text/html;q=0",
            "text/html;q=many",
            "text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2",
            "text/plain",
            "",
        ] {
            assert!(!wants(program), "{program}");
        }
        assert!(!is_wanted(&HeaderMap::new()));
    }

    #[test]
    fn page_is_escaped() {
        let detail = "<script>alert('1 & \"2\"')</script>".to_owned();
        let words = Words { detail, violations: Vec::new(), title: "T", code: "a.b", execution: None };
        let page = page(&words, 404);
        assert!(page.contains("<p>&lt;script&gt;alert(&#39;1 &amp; &quot;2&quot;&#39;)&lt;/script&gt;</p>"), "{page}");
    }
}
