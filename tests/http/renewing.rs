//! Renewals and what they leave: parts of the tests of renewals.

use std::{sync::Arc, time::Duration};

use http::StatusCode;
use session_layer::{Error, Session, store::Listing};

use crate::support::*;

pub const SECOND: Duration = Duration::from_secs(1);

pub async fn renewed(site: &Site, jar: &Jar) -> Jar {
    let mut jar = jar.clone();
    let reply = site.visit(&mut jar, async |session: Session| session.renew()).await;
    assert_eq!(reply.status, StatusCode::OK);
    assert_eq!(reply.cookies().len(), 1);
    jar
}

pub async fn logged_in(site: &Site, jar: &Jar) -> Jar {
    let mut jar = jar.clone();
    let reply = site.visit(&mut jar, async |session: Session| session.login("ada")).await;
    assert_eq!(reply.status, StatusCode::OK);
    jar
}

pub async fn keys(site: &Site, jar: &Jar) -> String {
    site.send(jar, async |session: Session| session.keys().join(",")).await.body
}

/// Counts live sessions, without tombstones.
pub async fn live(site: &Site) -> u64 {
    site.store.inner().count().await.unwrap()
}

/// Runs a request while another one renews the session: `act` runs in its handler after the renewal. Returns the
/// answer, and the cookie that the renewal has set.
pub async fn over_a_renewal<T, R>(site: &Site, jar: &Jar, renew: T, act: R) -> (Reply, Jar)
where
    T: Fn(&Session) -> Result<(), Error> + Clone + Send + Sync + 'static,
    R: Fn(&Session) -> Result<(), Error> + Clone + Send + Sync + 'static,
{
    let newer = Arc::new(std::sync::Mutex::new(jar.clone()));
    let (twin, other, slot) = (site.clone(), jar.clone(), Arc::clone(&newer));
    let reply = site
        .send(jar, async move |session: Session| {
            let renew = renew.clone();
            let reply = twin.send(&other, async move |session: Session| renew(&session)).await;
            assert_eq!((reply.status, reply.cookies().len()), (StatusCode::OK, 1));
            slot.lock().unwrap().absorb(&reply);
            act(&session)
        })
        .await;
    let newer = newer.lock().unwrap().clone();
    assert_ne!(newer.value, jar.value);
    (reply, newer)
}
