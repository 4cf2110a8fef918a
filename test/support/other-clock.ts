/** Preloaded into a process (`--import`): its clock is ahead by CLOCK_AHEAD milliseconds, and is put back by CLOCK_STEP more at each SIGUSR2. */

const Real = Date;
const { CLOCK_AHEAD = '0', CLOCK_STEP = '0' } = process.env;
let aheadMs = Number(CLOCK_AHEAD);

globalThis.Date = new Proxy(Real, {
  construct: (target, given, made) =>
    Reflect.construct(target, given.length === 0 ? [Real.now() + aheadMs] : given, made),
  get: (target, name, receiver) => (name === 'now' ? () => Real.now() + aheadMs : Reflect.get(target, name, receiver)),
});

if (Number(CLOCK_STEP) !== 0)
  process.on('SIGUSR2', () => {
    aheadMs -= Number(CLOCK_STEP);
    console.log('the clock was put back');
  });
