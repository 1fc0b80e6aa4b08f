// Keeps the page as it is at the node, by what /events says. Without this the page is whole, and loads itself anew.
"use strict";
(() => {
  const rows = document.getElementById("rows");
  const fault = document.getElementById("fault");
  let ahead = 0; // the node's clock before this machine's, in ms
  let live = ["connecting", ""];

  const make = (html) => {
    const t = document.createElement("template");
    t.innerHTML = html; // the agent has escaped it
    return t.content.firstElementChild;
  };

  const say = (text, state) => {
    live = [text, state];
    const e = document.getElementById("live");
    e.textContent = text;
    e.className = "live " + state;
  };

  const units = [["d", 86400], ["h", 3600], ["m", 60], ["s", 1]];
  const age = (ms) => {
    let left = Math.max(0, Math.floor(ms / 1000));
    const at = units.findIndex(([, size]) => left >= size);
    if (at < 0) return "0s";
    return units.slice(at, at + 2).map(([unit, size]) => {
      const n = Math.floor(left / size);
      left -= n * size;
      return n + unit;
    }).join(" ");
  };
  const tick = () => {
    const now = Date.now() + ahead;
    for (const t of document.querySelectorAll("time.age")) {
      const text = age(now - Date.parse(t.dateTime));
      if (t.textContent !== text) t.textContent = text;
    }
  };

  const take = (news) => {
    if (news.now) ahead = Date.parse(news.now) - Date.now();
    if ("fault" in news) {
      fault.textContent = news.fault;
      fault.hidden = !news.fault;
    }
    for (const html of Object.values(news.parts ?? {})) {
      const part = make(html);
      document.getElementById(part.id).replaceWith(part);
    }
    if (news.rows || news.order) {
      const known = new Map([...rows.children].map((row) => [row.dataset.key, row]));
      for (const html of news.rows ?? []) {
        const row = make(html);
        const was = known.get(row.dataset.key);
        if (was && was.dataset.state !== row.dataset.state) row.classList.add("changed");
        known.set(row.dataset.key, row);
        was?.replaceWith(row);
      }
      if (news.order) rows.replaceChildren(...news.order.map((key) => known.get(key)));
    }
    say(...live);
    tick();
  };

  const follow = () => {
    const events = new EventSource("events");
    events.onopen = () => say("live", "on");
    events.onmessage = (e) => take(JSON.parse(e.data));
    events.onerror = () => {
      say("not live", "off");
      if (events.readyState !== EventSource.CLOSED) return; // it tries again by itself
      setTimeout(follow, 5000);
    };
  };
  say(...live);
  follow();
  setInterval(tick, 1000);
})();
