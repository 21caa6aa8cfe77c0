// The plain loop: a `set` with `merge` a row, a hundred of them awaited together.
import { rows, timed } from './shard.js';

await timed(async () => {
  let written = 0;
  let waiting = [];
  for await (const [doc, data] of rows()) {
    waiting.push(doc.set(data, { merge: true }));
    if (waiting.length === 100) {
      written += (await Promise.all(waiting)).length;
      waiting = [];
    }
  }
  return written + (await Promise.all(waiting)).length;
});
