//! What a run's figures depend on: the day, the machine and the versions.

pub(crate) use bench_support::machine::Machine;

use crate::memcached;

const PACKAGES: [&str; 6] = ["axum", "tokio", "tower-sessions", "tower-sessions-moka-store", "moka", "axum_session"];

pub(crate) fn here() -> Machine {
    Machine::here(&PACKAGES, memcached::version())
}

#[cfg(test)]
mod tests {
    use bench_support::machine::locked;

    use super::PACKAGES;
    use crate::subjects;

    #[test]
    fn every_package_has_its_version_and_the_names_of_the_subjects_have_the_same() {
        for package in PACKAGES {
            assert!(!locked(package).is_empty(), "{package} is not in the lock file");
        }
        for kind in subjects::ALL {
            let named = kind.name().split(',').next().unwrap_or_default();
            let Some((package, _)) = named.split_once(' ').filter(|(_, rest)| rest.starts_with("0.")) else { continue };
            assert!(locked(package).iter().any(|locked| locked.starts_with(named)), "{named} is not what is built");
        }
    }
}
