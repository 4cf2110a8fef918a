/** The letter everybody sends: about 1.5 KB of text and 4 KB of HTML that compress as prose does. */
import MailComposer from 'nodemailer/lib/mail-composer';

export type Letter = {
  readonly from: string;
  readonly to: string;
  readonly subject: string;
  readonly text: string;
  readonly html: string;
};

const words =
  `the order you placed with us has been packed and will leave our house tomorrow morning please keep this letter as it
  carries number price address and terms questions reach our people by reply at any hour on working days we are grateful
  for your trust and hope that everything arrives well return within thirty days when something does not fit`.split(
    /\s+/,
  );

export const sender = 'shop@example.com';

/** Recipients are numbered, so that a message that came twice does not hide one that never came. */
export const recipientDigits = 8;

export function recipient(number: number): string {
  return `reader-${String(number).padStart(recipientDigits, '0')}@example.net`;
}

export function writeLetter(to: string): Letter {
  const draw = drawer(7);
  const paragraphs = Array.from({ length: 6 }, () => paragraph(draw, 45));
  const rows = Array.from({ length: 20 }, (_, i) => `<tr><td class="item">${i + 1}. ${paragraph(draw, 12)}</td></tr>`);
  return {
    from: `The Shop <${sender}>`,
    to,
    subject: 'Your order 2024-118 is on its way',
    text: paragraphs.join('\n\n'),
    html: [
      '<!doctype html><html><head><style>body{font-family:sans-serif;color:#222}.item{padding:8px}</style></head><body>',
      ...paragraphs.map((text) => `<p style="margin:0 0 12px;line-height:1.5">${text}</p>`),
      `<table width="100%" cellspacing="0">${rows.join('\n')}</table></body></html>`,
    ].join('\n'),
  };
}

/** The letter as it goes over the wire. */
export function composeLetter(letter: Letter): Promise<Buffer> {
  return new MailComposer(letter).compile().build();
}

function paragraph(draw: (below: number) => number, count: number): string {
  return Array.from({ length: count }, () => words[draw(words.length)]).join(' ');
}

/** The same sequence at each run (Lehmer's generator), so that runs can be compared. */
function drawer(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state * 48_271) % 2_147_483_647;
    return state % below;
  };
}
