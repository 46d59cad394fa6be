// Long work of the server, one piece at a time: begun, followed, cancelled whenever it is.

import * as api from "./api.js";
import { told } from "./notice.js";

/**
 * Work that a tab has done.
 *
 * @param {() => void} changed Called when it begins and when it ends.
 */
export function worker(changed) {
  let running = false;
  let stop = null;
  let unwanted = false;

  /** What the work gives; fails with an AbortError where it was cancelled. */
  async function run(begin, progress) {
    running = true;
    unwanted = false;
    changed();
    try {
      const { job } = await begin();
      const following = api.follow(job, progress);
      stop = () => {
        following.close();
        api.cancel(job).catch(told);
      };
      if (unwanted) stop();
      return await following.done;
    } finally {
      running = false;
      stop = null;
      changed();
    }
  }

  function cancel() {
    unwanted = true;
    stop?.();
  }

  return { run, cancel, running: () => running };
}
