//! Threads for work that can wait.

/// From now on the calling thread gets the processor only after ordinary ones that want it (a niceness of 10, about a
/// tenth of its share beside one busy thread). Without effect where the system does not allow it.
pub fn lower_priority() {
    const NICENESS: i32 = 10;
    // On Linux a thread has a niceness of its own, under its own number.
    let _ = rustix::process::setpriority_process(Some(rustix::thread::gettid()), NICENESS);
}

#[cfg(test)]
mod tests {
    #[test]
    fn only_the_calling_thread_is_lowered() {
        let niceness = || rustix::process::getpriority_process(Some(rustix::thread::gettid())).unwrap();
        let before = niceness();
        let lowered = std::thread::spawn(move || {
            super::lower_priority();
            niceness()
        });
        assert!(lowered.join().unwrap() >= before.max(10));
        assert_eq!(niceness(), before);
    }
}
