/** send-slice: one slice of a campaign. Look whom nothing is sent to any more, render, compose, send, settle each at its place or let it leave. */
import type { Semaphore } from '../concurrency/semaphore.ts';
import { type CampaignRow, type PlaceMark, sliceSize } from '../domain/campaign.ts';
import { lost, placeContent, placeEmail, unmade } from '../domain/campaign-email.ts';
import type { StoredEmail } from '../domain/email.ts';
import type { Lane } from '../domain/lane.ts';
import type { SettledOutcome } from '../domain/outcome.ts';
import { isSandbox } from '../domain/sandbox.ts';
import type { Message } from '../outbound/transport.ts';
import type { CampaignSlices, Take } from '../store/campaign-slices.ts';
import type { Dispatched, Outgoing } from './dispatch.ts';
import type { PreparedCampaign } from './prepare-campaign.ts';
import type { Filled, PlaceInHand, PlaceReport, settlePlace } from './settle-place.ts';

type Deps = {
  slices: Pick<CampaignSlices, 'rows' | 'claim' | 'release'>;
  prepareCampaign(campaignId: string): Promise<PreparedCampaign | null>;
  /** Recipients in hand at a time, over all slices. */
  inHand: Pick<Semaphore, 'take'>;
  suppress(emails: readonly StoredEmail[], lane: Lane): Promise<(SettledOutcome | null)[]>;
  dispatch(parcel: Outgoing): Promise<Dispatched>;
  settle(...given: Settling): ReturnType<typeof settlePlace>;
  /** Emails whose body may be at the next hop and whose answer is not stored yet. */
  handedOver: Set<string>;
  /** Ends what left its place, once the campaign is canceled. False when it is to be looked at again. */
  callOff(emailId: string): Promise<boolean>;
  /** Between one recipient and the next: others have their turn. */
  yieldTurn(): Promise<void>;
  /** Aborted when the process begins to stop. */
  stopping: AbortSignal;
  report(slice: SliceReport): void;
  onTrouble(part: 'send slice', error: unknown, fields: { readonly [of in 'email' | 'campaign']?: string }): void;
  now(): number;
};
type Settling = Parameters<typeof settlePlace> extends [unknown, ...infer Given] ? Given : never;

export type SliceReport = {
  readonly take: Take;
  readonly settled: readonly PlaceReport[];
  readonly isHeldUp: boolean;
  readonly ms: number;
};

/** What left its place and is on its way at this moment is looked at again after so long. */
const callOffAgainMs = 1_000;
/** So is a slice with recipients that cannot be read: only another version might, and each look is told of. Meanwhile all other slices go. */
const damagedAgainMs = 60_000;

/** One slice in hand. */
type Slice = {
  readonly take: Take;
  readonly campaign: PreparedCampaign;
  readonly settled: PlaceReport[];
  /** Messages that may leave still. */
  allowed: number;
  /** Something stands in the way of the rest: it is given back. */
  isHeldUp: boolean;
  /** How long until there is to be another look at it; null when that is not known to be needed. */
  againInMs: number | null;
};

type Placed = {
  readonly place: number;
  readonly mark: PlaceMark;
  readonly row: CampaignRow;
  readonly email: StoredEmail;
};

/** Lets the slice go in the end, whatever came of it: what is left of it is taken again. */
export async function sendSlice(deps: Deps, take: Take): Promise<SliceReport> {
  const startedAt = deps.now();
  const settled: PlaceReport[] = [];
  const campaign = await deps.prepareCampaign(take.campaignId).catch(async (error: unknown) => {
    await deps.slices.release(take, 0, take.allowed);
    throw error;
  });
  // It was deleted, and with it all there was to let go.
  if (campaign === null) return { take, settled, isHeldUp: true, ms: 0 };
  const slice: Slice = { take, campaign, settled, allowed: take.allowed, isHeldUp: false, againInMs: null };
  try {
    await workOff(deps, slice, await placedIn(deps, slice));
  } catch (error) {
    slice.isHeldUp = true;
    throw error;
  } finally {
    await deps.slices.release(take, slice.isHeldUp ? 0 : slice.againInMs, slice.allowed, settled.length);
  }
  const report = { take, settled, isHeldUp: slice.isHeldUp, ms: deps.now() - startedAt };
  deps.report(report);
  return report;
}

async function placedIn(deps: Deps, given: Slice): Promise<Placed[]> {
  const [{ head }, { take }] = [given.campaign, given];
  const { slice, status, startedAt } = take;
  const campaign = { head, state: { status, startedAt, scheduledAt: null } };
  const rows = await deps.slices.rows(take);
  const damaged = take.marks.filter((mark, n) => rows[n] === undefined && isToDo(mark, take)).length;
  if (damaged > 0) {
    given.againInMs = damagedAgainMs;
    const error = new Error(`${damaged} recipients of slice ${slice} cannot be read`);
    deps.onTrouble('send slice', error, { campaign: take.campaignId });
  }
  return rows.flatMap((row, n) => {
    const [place, mark] = [slice * sliceSize + n, take.marks[n] ?? 'absent'];
    if (row === undefined || mark === 'absent') return [];
    const queued = { place, row, mark: 'queued', outcome: null } as const;
    return [{ place, mark, row, email: placeEmail(campaign, queued, head.subject, deps.now()) }];
  });
}

function isToDo(mark: PlaceMark, { status }: Take): boolean {
  return mark === 'queued' || mark === 'handing' || (mark === 'left' && status === 'canceled');
}

async function workOff(deps: Deps, slice: Slice, all: readonly Placed[]): Promise<void> {
  const each = (mark: PlaceMark, step: (placed: Placed) => Promise<void>) =>
    all.filter((one) => one.mark === mark).map((placed) => guard(deps, slice, placed, () => step(placed)));
  const found = each('handing', (placed) => settleLost(deps, slice, placed));
  if (slice.take.status !== 'canceled') {
    await Promise.all([
      ...found,
      sendAll(
        deps,
        slice,
        all.filter(({ mark }) => mark === 'queued'),
      ),
    ]);
    return;
  }
  // What is let leave here is found among those that left by another look.
  if (found.length > 0) slice.againInMs = 0;
  const canceled = each('queued', (placed) => settle(deps, slice, inHand(slice, placed), { kind: 'canceled' }));
  await Promise.all([...found, ...canceled, ...each('left', (placed) => callOffOne(deps, slice, placed))]);
}

/** A recipient that could not be dealt with: a bug or Redis away, and neither is mended by hurrying. */
async function guard(deps: Deps, slice: Slice, { email }: Placed, step: () => Promise<void>): Promise<void> {
  try {
    await step();
  } catch (error) {
    slice.isHeldUp = true;
    deps.onTrouble('send slice', error, { email: email.facts.id });
  }
}

/** Each as soon as there is a place in hand for it, until something stands in the way of all of them. */
async function sendAll(deps: Deps, slice: Slice, queued: readonly Placed[]): Promise<void> {
  const emails = queued.map(({ email }) => email);
  const barred = await deps.suppress(emails, 'bulk');
  const letters = queued.map((placed) => letterTo(slice, placed));
  let ahead: Promise<void> | undefined;
  /** Once a transport asks for one of them, so that none is written in vain. */
  const writeAhead = () => {
    ahead ??= writeAll(deps, letters);
    return ahead;
  };
  const begun: Promise<void>[] = [];
  const begin = (placed: Placed, step: () => Promise<void>) => begun.push(guard(deps, slice, placed, step));
  for (const [n, placed] of queued.entries()) {
    const outcome = barred[n] ?? null;
    if (outcome !== null) begin(placed, () => settle(deps, slice, inHand(slice, placed), outcome));
    if (outcome !== null || slice.allowed === 0 || slice.isHeldUp) continue;
    const leave = await deps.inHand.take(deps.stopping);
    slice.isHeldUp ||= leave === null;
    const letter = letters[n];
    if (leave === null || letter === undefined || slice.isHeldUp) {
      leave?.();
      continue;
    }
    slice.allowed -= 1;
    begin(placed, () =>
      sendOne(deps, slice, placed, letter, writeAhead, leave).finally(() => letGo(deps, placed, leave)),
    );
    await deps.yieldTurn();
  }
  await Promise.all(begun);
}

function letGo({ handedOver }: Deps, { email }: Placed, leave: () => void): void {
  handedOver.delete(email.facts.id);
  leave();
}

/** @param leave gives back its place in hand: what the server said is settled beside others, and needs none */
async function sendOne(
  deps: Deps,
  slice: Slice,
  placed: Placed,
  letter: LetterInHand,
  writeAhead: () => Promise<void>,
  leave: () => void,
): Promise<void> {
  let isClaimed = false;
  const outcome = await deps.dispatch({
    email: placed.email,
    isSandbox: isSandbox(placed.row.address),
    isKept: true,
    async message(transport) {
      await writeAhead();
      return messageOf(placed, await letter.write(), transport);
    },
    async claim() {
      isClaimed = await deps.slices.claim(slice.take, placed.place);
      if (isClaimed) deps.handedOver.add(placed.email.facts.id);
      return isClaimed;
    },
  });
  leave();
  if (outcome.kind !== 'parked' && outcome.kind !== 'withheld')
    return settle(deps, slice, { ...letter.held, from: isClaimed ? 'handing' : 'queued' }, outcome);
  slice.isHeldUp = true;
  slice.allowed += 1;
}

/** The message to one recipient, written once. */
type LetterInHand = { readonly held: PlaceInHand; write(): Promise<Written> };
type Written = { readonly raw: Buffer } | { readonly fault: string };

function letterTo(slice: Slice, placed: Placed): LetterInHand {
  const held = inHand(slice, placed);
  let written: Promise<Written> | undefined;
  return {
    held,
    write() {
      written ??= write(slice, held);
      return written;
    },
  };
}

async function write({ campaign }: Slice, held: PlaceInHand): Promise<Written> {
  const filled = held.fill();
  if ('fault' in filled) return filled;
  return Promise.try(campaign.compose, filled.email, filled.content).then(
    (raw) => ({ raw }),
    (error: Error) => ({ fault: `it could not be composed: ${error.message}` }),
  );
}

/** Bytes of a slice that are written ahead: the rest is written when it is asked for. */
const aheadBytes = 1024 * 1024;

/** One after the other: with what each step needs at hand, that takes a fifth less of all that sending them costs. */
async function writeAll(deps: Deps, letters: readonly LetterInHand[]): Promise<void> {
  let bytes = 0;
  for (const letter of letters) {
    if (bytes > aheadBytes) return;
    const written = await letter.write();
    bytes += 'raw' in written ? written.raw.length : 0;
    await deps.yieldTurn();
  }
}

function messageOf({ email, row }: Placed, written: Written, transport: string): Message | SettledOutcome {
  if ('fault' in written) return unmade(transport, written.fault);
  const { id, from } = email.facts;
  return { emailId: id, envelope: { from: from.address, to: [row.address] }, raw: written.raw, dsn: null, attempts: 0 };
}

/** Its worker died, or lost it from its sight, after the body may have begun to leave. */
function settleLost(deps: Deps, slice: Slice, placed: Placed): Promise<void> {
  return settle(deps, slice, { ...inHand(slice, placed), from: 'handing' }, lost(placed.row.address));
}

async function callOffOne(deps: Deps, slice: Slice, { email }: Placed): Promise<void> {
  if (!(await deps.callOff(email.facts.id))) slice.againInMs ??= callOffAgainMs;
}

async function settle(deps: Deps, { settled }: Slice, held: PlaceInHand, what: Settling[1]): Promise<void> {
  const report = await deps.settle(held, what);
  if (report !== null) settled.push(report);
}

/** With a letter that is rendered once, when somebody asks for it. */
function inHand({ take, campaign }: Slice, { place, row, email }: Placed): PlaceInHand {
  const { campaignId } = take;
  let filled: Filled | undefined;
  return {
    ...{ campaignId, place, from: 'queued', email },
    fill() {
      filled ??= fill(campaign, row, email);
      return filled;
    },
    subject: () => (filled === undefined || 'fault' in filled ? null : filled.email.facts.subject),
  };
}

function fill({ head, render }: PreparedCampaign, row: CampaignRow, email: StoredEmail): Filled {
  const letter = render(row);
  if ('fault' in letter) return letter;
  const facts = { ...email.facts, subject: letter.subject ?? head.subject };
  return { email: { ...email, facts }, content: placeContent(head, letter) };
}
