//! The sessions of a session's owner, from the session itself.

use http::StatusCode;
use session_layer::{Error, ErrorKind, Session};

use crate::{stores::sites, support::*};

/// Returns the ids of the owner's other sessions, or `None` if the store can't list them.
async fn listed(session: &Session) -> Result<Option<Vec<String>>, Error> {
    match session.others().await {
        Ok(others) => Ok(Some(others.iter().map(|other| other.id().to_string()).collect())),
        Err(error) if error.kind() == ErrorKind::Unsupported => Ok(None),
        Err(error) => Err(error),
    }
}

#[tokio::test]
async fn a_session_lists_and_ends_its_owners_others_and_stays() {
    for (name, site) in sites() {
        let mut jar = site.member("ada").await;
        let (other, eve, nobody) = (site.member("ada").await, site.member("eve").await, site.visitor().await);
        let reply = site
            .visit(&mut jar, async |session: Session| {
                let others = listed(&session).await?;
                session.insert("before", 1)?;
                session.revoke_others().await?;
                assert!(listed(&session).await?.is_none_or(|others| others.is_empty()));
                session.insert("after", 1)?;
                Ok::<_, Error>(others.map_or("can't list".to_owned(), |others| others.join(" ")))
            })
            .await;
        let others = if name == "provided" { "can't list".to_owned() } else { other.id().to_string() };
        assert_eq!((reply.status, &reply.body), (StatusCode::OK, &others), "{name}");
        assert!(reply.sets_no_cookie(), "{name}");
        assert!(!is_live(&site, &other).await, "{name}");
        assert!(is_live(&site, &eve).await && is_live(&site, &nobody).await, "{name}");
        let reply = site.send(&jar, async |session: Session| session.keys().join(" ")).await;
        assert_eq!(reply.body, "after before n", "{name}");
    }
}

#[tokio::test]
async fn a_renewal_and_the_end_of_the_others_go_together() {
    for (name, site) in sites() {
        let mut jar = site.member("ada").await;
        let (old, other) = (jar.clone(), site.member("ada").await);
        let reply = site
            .visit(&mut jar, async |session: Session| {
                session.renew()?;
                session.revoke_others().await
            })
            .await;
        assert_eq!(reply.status, StatusCode::OK, "{name}");
        assert_ne!(jar.value, old.value, "{name}");
        assert!(is_live(&site, &jar).await && !is_live(&site, &other).await, "{name}");
    }
}

#[tokio::test]
async fn signing_out_everywhere_ends_this_session_too_and_removes_its_cookie() {
    for (name, site) in sites() {
        let mut jar = site.member("ada").await;
        let (other, eve) = (site.member("ada").await, site.member("eve").await);
        let reply = site
            .visit(&mut jar, async |session: Session| {
                session.revoke_all().await?;
                assert!(session.is_new() && session.owner().is_none());
                ok()
            })
            .await;
        assert_eq!((reply.status, jar.value), (StatusCode::OK, None), "{name}");
        assert!(!is_live(&site, &other).await && is_live(&site, &eve).await, "{name}");
    }
}

#[tokio::test]
async fn an_owners_sessions_need_an_owner_that_is_stored() {
    let site = Site::new();
    let kinds = async |session: Session| {
        let kinds = [
            session.others().await.unwrap_err().kind(),
            session.revoke_others().await.unwrap_err().kind(),
            session.revoke_all().await.unwrap_err().kind(),
        ];
        assert!(kinds.iter().all(|kind| *kind == kinds[0]));
        kinds[0]
    };
    let (nobody, visitor, ada) = (site.jar(), site.visitor().await, site.member("ada").await);
    for jar in [&nobody, &visitor] {
        let reply = site.send(jar, async move |session: Session| {
            assert_eq!(kinds(session.clone()).await, ErrorKind::NoOwner);
            session.revoke_others().await
        });
        let reply = reply.await;
        assert_eq!((reply.status, &*reply.body), (StatusCode::FORBIDDEN, "Forbidden"));
    }
    site.send(&visitor, async move |session: Session| {
        session.login("ada").unwrap();
        assert_eq!(kinds(session.clone()).await, ErrorKind::UnsavedChanges);
        session.save().await.unwrap();
        session.revoke_others().await.unwrap();
    })
    .await;
    assert!(!is_live(&site, &ada).await);
    let ada = site.member("ada").await;
    let sessions = site.layer.sessions();
    site.send(&ada, async move |session: Session| {
        session.clear_owner().unwrap();
        assert_eq!(kinds(session.clone()).await, ErrorKind::UnsavedChanges);
        session.discard();
        sessions.end(&session.id().unwrap()).await.unwrap();
        assert_eq!(session.revoke_others().await.unwrap_err().kind(), ErrorKind::Gone);
        session.destroy().unwrap();
    })
    .await;
}
