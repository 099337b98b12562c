//! A push, as GitHub describes it and as the flow sums it up.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// How many characters of a commit's id people quote.
const SHORT_ID: usize = 7;

/// What the flow reads of a `push`.
#[derive(Deserialize)]
pub(crate) struct Push {
    #[serde(rename = "ref")]
    reference: String,
    before: String,
    after: String,
    compare: String,
    created: bool,
    deleted: bool,
    forced: bool,
    repository: Repository,
    pusher: Pusher,
    commits: Vec<Commit>,
}

#[derive(Deserialize)]
struct Repository {
    full_name: String,
}

#[derive(Deserialize)]
struct Pusher {
    name: String,
}

#[derive(Deserialize)]
struct Commit {
    id: String,
    message: String,
    url: String,
    author: Author,
    #[serde(default)]
    added: Vec<String>,
    #[serde(default)]
    removed: Vec<String>,
    #[serde(default)]
    modified: Vec<String>,
}

#[derive(Deserialize)]
struct Author {
    name: String,
}

/// The flow's outputs for a push.
#[derive(Debug, Serialize)]
pub(crate) struct Summary {
    summary: String,
    repository: String,
    branch: Option<String>,
    tag: Option<String>,
    pusher: String,
    forced: bool,
    before: String,
    after: String,
    compare: String,
    commits: Vec<CommitSummary>,
    /// Every file with the last thing that happened to it.
    files: BTreeMap<String, Change>,
}

#[derive(Debug, Serialize)]
struct CommitSummary {
    id: String,
    title: String,
    author: String,
    url: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Change {
    Added,
    Modified,
    Removed,
}

impl Push {
    /// Sums the push up.
    pub(crate) fn summary(self) -> Summary {
        let branch = self.reference.strip_prefix("refs/heads/").map(str::to_owned);
        let tag = self.reference.strip_prefix("refs/tags/").map(str::to_owned);
        let mut files = BTreeMap::new();
        for commit in &self.commits {
            for (paths, change) in [
                (&commit.added, Change::Added),
                (&commit.modified, Change::Modified),
                (&commit.removed, Change::Removed),
            ] {
                files.extend(paths.iter().map(|path| (path.clone(), change)));
            }
        }
        Summary {
            summary: self.sentence(branch.as_deref().or(tag.as_deref()).unwrap_or(&self.reference)),
            repository: self.repository.full_name,
            branch,
            tag,
            pusher: self.pusher.name,
            forced: self.forced,
            before: self.before,
            after: self.after,
            compare: self.compare,
            commits: self.commits.into_iter().map(CommitSummary::from).collect(),
            files,
        }
    }

    fn sentence(&self, name: &str) -> String {
        let commits = match self.commits.len() {
            1 => "1 commit".to_owned(),
            count => format!("{count} commits"),
        };
        let Self { pusher, repository, .. } = self;
        let (who, place) = (&pusher.name, &repository.full_name);
        if self.deleted {
            format!("{who} deleted {name} in {place}")
        } else if self.created && self.commits.is_empty() {
            format!("{who} created {name} in {place}")
        } else if self.forced {
            format!("{who} force-pushed {commits} to {name} of {place}")
        } else {
            format!("{who} pushed {commits} to {name} of {place}")
        }
    }
}

impl From<Commit> for CommitSummary {
    fn from(commit: Commit) -> Self {
        Self {
            id: commit.id.chars().take(SHORT_ID).collect(),
            title: commit.message.lines().next().unwrap_or_default().to_owned(),
            author: commit.author.name,
            url: commit.url,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push() -> Push {
        serde_json::from_str(include_str!("../requests/push.json")).unwrap()
    }

    #[test]
    fn commits_are_told_by_their_titles() {
        let commits = push().summary().commits;
        let told: Vec<(&str, &str)> = commits.iter().map(|commit| (&*commit.title, &*commit.author)).collect();
        let expected = [
            ("Read the gauge over HTTP", "Mira Lindqvist"),
            ("Round times to the minute", "Mira Lindqvist"),
            ("Merge pull request #52 from harbour-works/drop-xml", "Jon Petersen"),
        ];
        assert_eq!(told, expected);
        assert!(commits.iter().all(|commit| commit.id.len() == SHORT_ID));
    }

    #[test]
    fn files_are_listed_once() {
        let files = push().summary().files;
        assert_eq!(files.len(), 9);
        assert_eq!((files["src/gauge/http.rs"], files["src/export/xml.rs"]), (Change::Added, Change::Removed));
    }

    #[test]
    fn branches_and_tags_are_told_apart() {
        let on_branch = push().summary();
        assert_eq!((on_branch.branch.as_deref(), on_branch.tag), (Some("main"), None));
        let tagged =
            Push { reference: "refs/tags/v1.2".into(), created: true, commits: Vec::new(), ..push() }.summary();
        assert_eq!((tagged.branch, tagged.tag.as_deref()), (None, Some("v1.2")));
        assert_eq!(tagged.summary, "jpetersen created v1.2 in harbour-works/tide-tables");
    }

    #[test]
    fn the_sentence_says_what_was_unusual() {
        let one = push().commits.pop().into_iter().collect();
        let forced = Push { forced: true, commits: one, ..push() }.summary().summary;
        assert_eq!(forced, "jpetersen force-pushed 1 commit to main of harbour-works/tide-tables");
        let deleted = Push { deleted: true, ..push() }.summary().summary;
        assert_eq!(deleted, "jpetersen deleted main in harbour-works/tide-tables");
    }
}
