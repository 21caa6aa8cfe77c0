// What every contender in JavaScript shares: the rows of a shard, the store, and what it tells.
import { createReadStream, readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { initializeApp } from 'firebase-admin/app';
import { getFirestore } from 'firebase-admin/firestore';

const [file, project] = process.argv.slice(2);
initializeApp({ projectId: project });
export const db = getFirestore();

export async function* rows() {
  for await (const line of createInterface({ input: createReadStream(file) })) {
    const row = JSON.parse(line);
    const { seq, hash } = row;
    const sync = { run: 'bench', seq, hash, at: '2026-01-29T08:00:00.000000Z', state: 'live' };
    yield [db.collection('cdp_profiles').doc(row.profile_id), { ...row.set, sync }];
  }
}

export async function timed(work) {
  const started = performance.now();
  const written = await work();
  const seconds = (performance.now() - started) / 1000;
  const peak = /VmHWM:\s+(\d+) kB/.exec(readFileSync('/proc/self/status', 'utf8'))[1];
  console.log(JSON.stringify({ written, seconds, mib: peak / 1024 }));
  process.exit(0);
}
