"""Scripts that run in the page and record its measurements."""

OPENED = """() => {
  window.bench = {rows: 0, long: [], frames: []};
  new MutationObserver((_, observer) => {
    if (!document.querySelector('.row[data-kind=line]')) return;
    observer.disconnect();
    // A row in the document is not yet seen: the frame that draws it is over when its own message is handled.
    requestAnimationFrame(() => {
      const after = new MessageChannel();
      after.port1.onmessage = () => { window.bench.rows = performance.now(); };
      after.port2.postMessage(null);
    });
  }).observe(document, {subtree: true, childList: true});
  const tasks = (list) => { for (const entry of list.getEntries()) window.bench.long.push(entry.duration); };
  new PerformanceObserver(tasks).observe({entryTypes: ['longtask']});
}"""
"""Records the first visible rows, and tasks of the page's thread that the browser calls long (over 50 ms)."""

FRAMES = """() => {
  const {frames} = window.bench;
  frames.length = 0;
  const after = new MessageChannel();
  let [last, due, began] = [0, 0, 0];
  // A message posted in a frame's callback is handled after its style, layout and paint.
  after.port1.onmessage = () => {
    const end = performance.now();
    frames.push({work: end - began, late: end - due, apart: last ? due - last : 0});
    last = due;
  };
  const step = (now) => {
    if (window.bench.stop) return;
    [due, began] = [now, performance.now()];
    after.port2.postMessage(null);
    requestAnimationFrame(step);
  };
  window.bench.stop = false;
  requestAnimationFrame(step);
}"""
"""
Records every frame from now on: `work`, from its callbacks to the end of its paint; `late`, from when the browser began
it, so that its waits and the scroll event's own handling count too; `apart`, the time since the one before.
"""

STOP = "() => { window.bench.stop = true; return window.bench.frames; }"

JUMP = """(share) => new Promise((resolve) => {
  const pane = document.querySelector('.pane');
  const began = performance.now();
  pane.scrollTop = share * (pane.scrollHeight - pane.clientHeight);
  const look = () => {
    const box = pane.getBoundingClientRect();
    const at = document.elementFromPoint(box.left + box.width / 2, box.top + box.height / 2);
    const row = at && at.closest('.row[data-kind=line]');
    if (!row && performance.now() - began < 20_000) return requestAnimationFrame(look);
    const after = new MessageChannel();
    after.port1.onmessage = () => resolve(performance.now() - began);
    after.port2.postMessage(null);
  };
  requestAnimationFrame(look);
})"""
"""Moves the scroll thumb, and waits until lines of that position are drawn, at most 20 seconds."""

AT_TOP = """() => {
  const pane = document.querySelector('.pane'), top = pane.getBoundingClientRect().top;
  const row = [...pane.querySelectorAll('.row')].find((one) => one.getBoundingClientRect().bottom > top + 1);
  return row ? [Number(row.dataset.seq), Math.round(row.getBoundingClientRect().top - top)] : [0, 0];
}"""

RECONNECTED = """(n) => {
  const {kind, opened} = window.logferry.connection();
  // As when a person looks at the page again: no waiting for the backoff.
  if (kind === 'waiting') document.dispatchEvent(new Event('visibilitychange'));
  return opened > n;
}"""
