/** A job as it runs: the bar follows its events; when it has ended the page is asked for anew. */
import { renew } from "./follow.js";

const OFTEN = 4000; // ms between two looks at the page's parts
const job = document.querySelector("[data-events]");

if (job) {
  const bar = job.querySelector("progress");
  const told = job.querySelector("[data-told]");
  const lost = job.querySelector("[data-lost]");
  let source = null;
  let last = job.dataset.last; // the page tells what was before
  let spoken = 0;
  let due = null;

  const show = (data) => {
    if (typeof data.fraction === "number") bar.value = data.fraction;
    const parts = [data.stage, data.candidate?.replaceAll("_", " ")];
    if (data.epoch) parts.push(`epoch ${data.epoch} of ${data.n_epochs}`);
    if (data.eta_seconds > 0) parts.push(`about ${Math.ceil(data.eta_seconds)} s left`);
    const text = parts.filter(Boolean).join(", ");
    if (text && Date.now() - spoken > 10000) { // a screen reader says each change
      told.textContent = text;
      spoken = Date.now();
    }
    due ??= setTimeout(() => {
      due = null;
      renew().catch(() => {});
    }, OFTEN);
  };
  const open = () => {
    if (source) return;
    const address = new URL(job.dataset.events, location.href);
    if (last) address.searchParams.set("after", last);
    source = new EventSource(address);
    source.onopen = () => (lost.hidden = true);
    source.onerror = () => {
      lost.hidden = false;
      lost.textContent = `The connection is lost since ${new Date().toLocaleTimeString()}; trying again.`;
    };
    const on = (event) => {
      last = event.lastEventId || last;
      show(JSON.parse(event.data).data ?? {});
    };
    for (const type of ["queued", "started", "stage", "progress", "requeued", "cancel_requested"]) {
      source.addEventListener(`job.${type}`, on);
    }
    source.addEventListener("head.published", on);
    for (const type of ["succeeded", "failed", "cancelled"]) {
      source.addEventListener(`job.${type}`, () => {
        close();
        location.reload();
      });
    }
  };
  const close = () => {
    source?.close();
    source = null;
  };
  document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
  open();
}
