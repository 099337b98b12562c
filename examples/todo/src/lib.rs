//! A to-do list: a web page with forms, in one flow, with its items in one setting.
//!
//! Open `http://127.0.0.1:8080/api/latest/webhook/todo/call` in a browser, with `?key=…` where the webhook has a key. A form posts
//! what is to be done, and is redirected to the list, so that a reload does nothing twice. The same by curl, by path or by query:
//!
//! ```sh
//! flowhost webhook create todo --flow todo --role Developer --enable
//! curl http://127.0.0.1:8080/api/latest/webhook/todo/call/add -H @requests/add.headers --data-binary @requests/add.form
//! curl 'http://127.0.0.1:8080/api/latest/webhook/todo/call?action=tick' -d id=1
//! ```

use std::fmt;

use flowhost_guest::{Execution, FlowError, Input, Outputs, flow};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Where the list is kept.
const LIST: &str = "todo.list";

/// The most items, and the most characters of one: the list is a page.
const ITEMS: usize = 200;
const CHARACTERS: usize = 200;

/// What is to be done.
#[derive(Clone, Default, Deserialize, PartialEq, Serialize)]
struct List {
    /// The id of the last item that was added.
    last: u32,
    items: Vec<Item>,
}

#[derive(Clone, Deserialize, PartialEq, Serialize)]
struct Item {
    id: u32,
    text: String,
    is_done: bool,
}

#[flow(title = "To-do list", description = "A web page with a list of what is to be done.")]
fn todo(this: &Execution, input: Input<Value>) -> Result<Outputs, FlowError> {
    // The path where there is one below the webhook's address, or the query. The page's forms say it in a field, and post to the
    // address as it was called, with the key in its query where the webhook wants one: the flow does not see that.
    let path = input.path.trim_matches('/');
    let asked = input.query_value("action").or_else(|| input.json["action"].as_str()).unwrap_or_default();
    let action = if path.is_empty() { asked } else { path };
    match (input.method.as_str(), action) {
        ("GET" | "HEAD", "") => {
            let list = this.settings().get(LIST)?.unwrap_or_default();
            this.response().html(Page(&list))?;
        }
        ("POST", "add" | "tick" | "delete") => match change(this, action, &input.json)? {
            // A browser resolves it against the address that it called: from `…/call/add` to `…/call`, from a query that says what
            // to do to none, and else to the same address, with its query.
            Ok(()) => {
                let above = format!("{}call", "../".repeat(input.path.matches('/').count()));
                let is_in_query = input.query_value("action").is_some();
                let page = match (path, is_in_query) {
                    ("", true) => "?",
                    ("", false) => "#",
                    _ => above.as_str(),
                };
                this.response().redirect(303, page)?;
            }
            Err(mistake) => answer(this, 422, mistake)?,
        },
        (_, "" | "add" | "tick" | "delete") => {
            this.response().set_header("allow", if action.is_empty() { "GET, HEAD" } else { "POST" })?;
            answer(this, 405, "That is not how this is done.")?;
        }
        _ => answer(this, 404, "There is no such page.")?,
    }
    Ok(Outputs::new())
}

fn answer(this: &Execution, status: u16, text: &str) -> Result<(), FlowError> {
    this.response().set_status(status)?;
    Ok(this.response().text(text)?)
}

/// Changes the list, whoever else does at the same time; gives what is wrong with the form.
fn change(this: &Execution, action: &str, form: &Value) -> Result<Result<(), &'static str>, FlowError> {
    loop {
        let before: Option<List> = this.settings().get(LIST)?;
        let mut list = before.clone().unwrap_or_default();
        if let Err(mistake) = list.change(action, form) {
            return Ok(Err(mistake));
        }
        if this.settings().compare_and_set(LIST, before.as_ref(), Some(&list))? {
            return Ok(Ok(()));
        }
    }
}

impl List {
    fn change(&mut self, action: &str, form: &Value) -> Result<(), &'static str> {
        let field = |name: &str| form[name].as_str().map(str::trim).unwrap_or_default();
        if action == "add" {
            let text = field("text");
            if text.is_empty() || text.chars().count() > CHARACTERS {
                return Err("Say what is to be done, in 1 to 200 characters.");
            }
            if self.items.len() >= ITEMS {
                return Err("There is enough to do already.");
            }
            self.last += 1;
            self.items.push(Item { id: self.last, text: text.to_owned(), is_done: false });
            return Ok(());
        }
        let id: u32 = field("id").parse().map_err(|_| "Say which one.")?;
        // One that somebody else has deleted is gone, as was wished or not.
        match action {
            "delete" => self.items.retain(|item| item.id != id),
            _ => self.items.iter_mut().filter(|item| item.id == id).for_each(|item| item.is_done = !item.is_done),
        }
        Ok(())
    }
}

/// The list as a page.
struct Page<'a>(&'a List);

impl fmt::Display for Page<'_> {
    fn fmt(&self, page: &mut fmt::Formatter<'_>) -> fmt::Result {
        let open = self.0.items.iter().filter(|item| !item.is_done).count();
        write!(
            page,
            "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>To do ({open})</title>\
             <meta name=\"viewport\" content=\"width=device-width\">\
             <style>body{{font:1.1em system-ui;max-width:30em;margin:2em auto}}li{{display:flex;gap:.5em;margin:.4em 0}}\
             li span{{flex:1}}.done span{{text-decoration:line-through;opacity:.6}}</style>\
             <h1>To do</h1><ul>"
        )?;
        for Item { id, text, is_done } in &self.0.items {
            let (class, tick) = if *is_done { (" class=\"done\"", "Undo") } else { ("", "Done") };
            write!(page, "<li{class}><span>{}</span>", Escaped(text))?;
            for (action, label) in [("tick", tick), ("delete", "Delete")] {
                write!(
                    page,
                    "<form method=\"post\"><input type=\"hidden\" name=\"action\" value=\"{action}\">\
                     <button name=\"id\" value=\"{id}\">{label}</button></form>"
                )?;
            }
            write!(page, "</li>")?;
        }
        write!(
            page,
            "</ul><form method=\"post\"><input type=\"hidden\" name=\"action\" value=\"add\">\
             <input name=\"text\" maxlength=\"{CHARACTERS}\" required autofocus> <button>Add</button></form></html>"
        )
    }
}

/// A text as a page shows it: nothing in it is markup.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, page: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|character| match character {
            '&' => page.write_str("&amp;"),
            '<' => page.write_str("&lt;"),
            '>' => page.write_str("&gt;"),
            '"' => page.write_str("&quot;"),
            '\'' => page.write_str("&#39;"),
            other => fmt::Write::write_char(page, other),
        })
    }
}

#[cfg(test)]
mod tests {
    use flowhost_guest::{Answer, json};

    use super::*;

    fn call(this: Execution, method: &str, path: &str, action: &str, form: Value) -> (Answer, Execution) {
        let mut input = Input { method: method.into(), path: path.into(), ..Input::new(form) };
        if !action.is_empty() {
            input = input.with_query("action", action);
        }
        todo(&this, input).unwrap();
        let saved = this.settings().get::<Value>(LIST).unwrap();
        let next = Execution::for_test();
        let next = if let Some(saved) = saved { next.with_setting(LIST, saved) } else { next };
        (this.answer().unwrap(), next)
    }

    fn page(this: Execution) -> String {
        call(this, "GET", "", "", Value::Null).0.text().to_owned()
    }

    #[test]
    fn what_is_to_be_done_is_added_ticked_and_deleted() {
        let (answer, this) = call(Execution::for_test(), "POST", "", "add", json!({ "text": " Bake " }));
        assert_eq!((answer.status, answer.header("location")), (303, Some("?")));
        let (answer, this) = call(this, "POST", "/add", "", json!({ "text": "Eat" }));
        assert_eq!((answer.status, answer.header("location")), (303, Some("../call")));
        let (_, this) = call(this, "POST", "", "tick", json!({ "id": "1" }));
        let (_, this) = call(this, "POST", "/delete", "", json!({ "id": "2" }));
        let (answer, this) = call(this, "POST", "/delete/", "", json!({ "id": "2" }));
        assert_eq!(answer.header("location"), Some("../../call"));
        let (answer, this) = call(this, "POST", "", "", json!({ "action": "add", "text": "Sleep" }));
        assert_eq!((answer.status, answer.header("location")), (303, Some("#")));
        let page = page(this);
        assert!(page.contains("<li class=\"done\"><span>Bake</span>") && !page.contains("Eat"), "{page}");
        assert!(page.contains("<title>To do (1)</title>"));
    }

    #[test]
    fn what_others_wrote_is_no_markup() {
        let text = "<script>alert('1 & \"2\"')</script>";
        let (_, this) = call(Execution::for_test(), "POST", "", "add", json!({ "text": text }));
        let page = page(this);
        assert!(page.contains("&lt;script&gt;alert(&#39;1 &amp; &quot;2&quot;&#39;)&lt;/script&gt;"), "{page}");
        assert!(!page.contains("<script"));
    }

    #[test]
    fn a_mistake_is_told_and_changes_nothing() {
        for (method, path, action, form, status) in [
            ("POST", "", "add", json!({ "text": " " }), 422),
            ("POST", "", "add", json!({ "text": "x".repeat(201) }), 422),
            ("POST", "", "add", json!({ "text": ["a", "b"] }), 422),
            ("POST", "", "tick", json!({ "id": "one" }), 422),
            ("POST", "/delete", "", Value::Null, 422),
            ("POST", "", "", Value::Null, 405),
            ("GET", "/add", "", Value::Null, 405),
            ("GET", "/other", "", Value::Null, 404),
            ("POST", "", "other", Value::Null, 404),
        ] {
            let (answer, this) = call(Execution::for_test(), method, path, action, form);
            assert_eq!(answer.status, status, "{method} {path} {action}");
            assert!(this.settings().names("").unwrap().is_empty());
        }
    }

    #[test]
    fn a_list_has_its_end() {
        let mut list = List::default();
        for _ in 0..ITEMS {
            list.change("add", &json!({ "text": "more" })).unwrap();
        }
        assert!(list.change("add", &json!({ "text": "more" })).is_err());
    }
}
