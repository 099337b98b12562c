//! Passwords: which ones are taken, how they are kept, how they are checked.
//!
//! A password is kept as an argon2id hash in the PHC form, `$argon2id$v=19$m=19456,t=2,p=1$<salt>$<hash>`. The
//! parameters are those of OWASP's password storage cheat sheet: 19 MiB, two passes, one lane. More memory per hash
//! would make a stolen table dearer to search and a flood of logins dearer to bear; at 19 MiB a hash takes ten
//! milliseconds or some more, which nobody notices at a login. Every hash carries its own parameters, so that other
//! ones can be chosen later.

use std::num::NonZero;
use std::sync::Arc;
use std::thread::available_parallelism;

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};

use super::turns::{Lane, NoPlace, Turn, Turns};

/// The fewest characters of a password: the least that NIST SP 800-63B allows.
const PASSWORD_MIN: usize = 8;
/// The most characters of a password. Passphrases fit, megabytes to digest do not.
const PASSWORD_MAX: usize = 1024;

/// Kibibytes, passes, lanes.
const PARAMS: Params = match Params::new(19 * 1024, 2, 1, Some(32)) {
    Ok(params) => params,
    Err(_) => panic!("parameters that argon2 takes"),
};

const SALT_BYTES: usize = 16;

/// The most hashes that are computed at once, however many cores there are: 19 MiB each.
const PARALLEL_MAX: usize = 4;
/// The most logins of strangers that wait for a hash, and those of known users, each of them with a password of a kilobyte
/// at most. A core computes fifty to a hundred hashes a second, so that the last of a flood waits for some seconds. A login
/// of another name, of a known user or from elsewhere does not wait behind the flood.
const WAITING_MAX: usize = 256;

/// A hash that no password has. It is verified where there is no real one, so that the time an answer takes does not
/// tell whether a user exists.
const NOBODYS_HASH: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// Why a password was neither hashed nor checked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PasswordError {
    /// The policy does not take it.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// So many passwords are being checked that another one would wait too long.
    #[error("too many logins at once; try again in a moment")]
    Busy,
    /// A fault of the host.
    #[error(transparent)]
    Hash(#[from] HashError),
}

/// Why the policy does not take a password, in words for whoever chose it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PolicyError {
    /// It asks for more.
    #[error("has {0} characters; a password needs at least {PASSWORD_MIN}")]
    TooShort(usize),
    /// It asks for less.
    #[error("has {0} characters; a password has at most {PASSWORD_MAX}")]
    TooLong(usize),
}

/// Why a hash was not computed, in words for the host's log.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HashError {
    /// The system gave no randomness for the salt.
    #[error("no randomness for a salt: {0}")]
    Random(getrandom::Error),
    /// The hash could not be computed.
    #[error("the password could not be hashed: {0}")]
    Argon2(argon2::password_hash::Error),
    /// The host stops, or the computation panicked.
    #[error("the computation of a hash was cut off")]
    CutOff,
}

/// Whether the policy takes the password. Only its length counts: rules about kinds of characters make passwords harder
/// to remember and hardly harder to guess.
fn check_policy(password: &str) -> Result<(), PolicyError> {
    match password.chars().count() {
        length if length < PASSWORD_MIN => Err(PolicyError::TooShort(length)),
        length if length > PASSWORD_MAX => Err(PolicyError::TooLong(length)),
        _ => Ok(()),
    }
}

/// The hash of a password that the policy takes, with a salt of its own. Keeps a core busy for ten milliseconds or
/// more.
fn hash(password: &str) -> Result<String, PasswordError> {
    check_policy(password)?;
    let mut salt = [0; SALT_BYTES];
    getrandom::fill(&mut salt).map_err(HashError::Random)?;
    let hash: PasswordHash =
        argon2id().hash_password_with_salt(password.as_bytes(), &salt).map_err(HashError::Argon2)?;
    Ok(hash.to_string())
}

/// Whether the password is the one with this hash. A text that is no hash is nobody's. Keeps a core busy like [`hash`].
fn verify(password: &str, hash: &str) -> bool {
    PasswordHash::new(hash).is_ok_and(|hash| argon2id().verify_password(password.as_bytes(), &hash).is_ok())
}

/// As much work as [`verify`], for a user who does not exist, has no password or may not log in.
fn verify_nobodys(password: &str) {
    verify(password, NOBODYS_HASH);
}

fn argon2id() -> Argon2<'static> {
    Argon2::new(Algorithm::Argon2id, Version::V0x13, PARAMS)
}

/// Hashes and checks passwords beside the asynchronous tasks, few at a time: a flood of logins takes neither all cores
/// nor much memory.
#[derive(Clone, Debug)]
pub(crate) struct Passwords {
    turns: Arc<Turns>,
}

impl Default for Passwords {
    /// Takes at most half of the cores, and at most four.
    fn default() -> Self {
        let cores = available_parallelism().map_or(1, NonZero::get);
        Self::with_limits((cores / 2).clamp(1, PARALLEL_MAX), WAITING_MAX)
    }
}

impl Passwords {
    fn with_limits(computing: usize, waiting: usize) -> Self {
        Self { turns: Arc::new(Turns::new(computing, computing + waiting)) }
    }

    /// [`hash`], on a blocking thread, for a change of records.
    pub(crate) async fn hash(&self, password: String) -> Result<String, PasswordError> {
        // What the policy refuses does not wait for its turn.
        check_policy(&password)?;
        self.turn(Lane::Change).await?.compute(move || hash(&password)).await?
    }

    /// Waits for a turn to check a password.
    pub(crate) async fn turn(&self, lane: Lane) -> Result<Turn, PasswordError> {
        self.turns.turn(lane).await.map_err(|NoPlace| PasswordError::Busy)
    }
}

impl Turn {
    /// [`verify`], on a blocking thread, for a login. Without a hash the answer is no, and takes as long.
    pub(crate) async fn verify(self, password: String, hash: Option<String>) -> Result<bool, PasswordError> {
        self.compute(move || match hash {
            Some(hash) => verify(&password, &hash),
            None => {
                verify_nobodys(&password);
                false
            }
        })
        .await
    }

    async fn compute<T: Send + 'static>(self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, PasswordError> {
        let computed = tokio::task::spawn_blocking(move || {
            // Held to the end of the work, also where the caller went away meanwhile.
            let _turn = self;
            work()
        });
        Ok(computed.await.map_err(|_| HashError::CutOff)?)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use futures_util::FutureExt;

    use super::*;

    fn login() -> Lane {
        Lane::Stranger { network: None, name: "ada".to_owned() }
    }

    async fn verify_at_turn(passwords: &Passwords, password: &str, hash: Option<String>) -> bool {
        passwords.turn(login()).await.unwrap().verify(password.to_owned(), hash).await.unwrap()
    }

    async fn compute<T: Send + 'static>(
        passwords: &Passwords,
        lane: Lane,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, PasswordError> {
        passwords.turn(lane).await?.compute(work).await
    }

    #[test]
    fn a_password_is_verified_by_its_hash_alone() {
        let kept = hash("correct horse").unwrap();
        assert!(kept.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{kept}");
        assert!(verify("correct horse", &kept));
        assert!(!verify("correct horsf", &kept));
        assert!(!verify("", &kept));
        assert_ne!(kept, hash("correct horse").unwrap(), "each hash has a salt of its own");
    }

    #[test]
    fn a_hash_from_elsewhere_is_verified_with_its_own_parameters() {
        // From the tests of the reference implementation.
        let hash = "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4";
        assert!(verify("password", hash));
        assert!(!verify("passwort", hash));
    }

    #[test]
    fn what_is_no_hash_verifies_nothing() {
        let kept = hash("correct horse").unwrap();
        for broken in ["", "correct horse", "$argon2id$", &kept[..kept.len() - 4], "$1$abc$def"] {
            assert!(!verify("correct horse", broken), "{broken}");
        }
    }

    #[test]
    fn the_policy_counts_characters_and_says_what_it_wants() {
        assert_eq!(hash("sevenis").unwrap_err().to_string(), "has 7 characters; a password needs at least 8");
        assert_eq!(
            hash(&"x".repeat(1025)).unwrap_err().to_string(),
            "has 1025 characters; a password has at most 1024"
        );
        assert!(check_policy("ñandú-öl").is_ok());
        assert!(check_policy(&"€".repeat(1024)).is_ok());
        let longest = "x".repeat(1024);
        let kept = hash(&longest).unwrap();
        assert!(verify(&longest, &kept));
        assert!(!verify(&longest[..1023], &kept), "all characters count");
    }

    #[test]
    fn nobodys_hash_costs_what_a_real_one_costs_and_fits_nothing() {
        let (nobodys, real) = (PasswordHash::new(NOBODYS_HASH).unwrap(), hash("correct horse").unwrap());
        let real = PasswordHash::new(&real).unwrap();
        assert_eq!(nobodys.algorithm, real.algorithm);
        assert_eq!(nobodys.version, real.version);
        assert_eq!(nobodys.params, real.params);
        assert_eq!(nobodys.salt.unwrap().as_ref().len(), real.salt.unwrap().as_ref().len());
        assert_eq!(nobodys.hash.unwrap().as_bytes().len(), real.hash.unwrap().as_bytes().len());
        assert!(!verify("correct horse", NOBODYS_HASH));
        assert!(!verify("", NOBODYS_HASH));
    }

    #[tokio::test]
    async fn passwords_are_hashed_and_verified_beside_the_tasks() {
        let passwords = Passwords::default();
        let kept = passwords.hash("correct horse".to_owned()).await.unwrap();
        assert!(verify_at_turn(&passwords, "correct horse", Some(kept.clone())).await);
        assert!(!verify_at_turn(&passwords, "wrong horse", Some(kept)).await);
        assert!(!verify_at_turn(&passwords, "correct horse", None).await);
        assert!(matches!(
            passwords.hash("short".to_owned()).await,
            Err(PasswordError::Policy(PolicyError::TooShort(5)))
        ));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn a_flood_is_computed_few_at_a_time_and_refused_beyond_the_queue() {
        let passwords = Passwords::with_limits(2, 3);
        let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let flood: Vec<_> = (0..20)
            .map(|_| {
                let (passwords, running, most) = (passwords.clone(), Arc::clone(&running), Arc::clone(&most));
                tokio::spawn(async move {
                    compute(&passwords, login(), move || {
                        most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        std::thread::sleep(Duration::from_millis(100));
                        running.fetch_sub(1, Ordering::SeqCst);
                    })
                    .await
                })
            })
            .collect();
        let mut refused = 0;
        for login in flood {
            match login.await.unwrap() {
                Ok(()) => {}
                Err(PasswordError::Busy) => refused += 1,
                Err(other) => panic!("{other}"),
            }
        }
        assert!(most.load(Ordering::SeqCst) <= 2);
        assert!((1..=17).contains(&refused), "three of five places are for one network: {refused}");
        assert!(compute(&passwords, login(), || ()).await.is_ok(), "the flood leaves nothing behind");
    }

    #[tokio::test]
    async fn a_caller_who_goes_away_frees_the_core_only_at_the_end_of_the_work() {
        let passwords = Passwords::with_limits(1, 1);
        let (ended, end) = std::sync::mpsc::channel::<()>();
        let left = compute(&passwords, Lane::Change, move || end.recv());
        assert!(tokio::time::timeout(Duration::from_millis(20), left).await.is_err());
        let mut next = Box::pin(compute(&passwords, login(), || ()));
        assert!((&mut next).now_or_never().is_none(), "the core is not free");
        ended.send(()).unwrap();
        assert!(next.await.is_ok());
    }
}
