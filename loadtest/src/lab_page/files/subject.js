// What is played on the second tab: its names, and the links of its positions.

export const title = ({ version, variant }) => (variant ? `${version} ${variant}` : version);
export const name = (subject) => `${title(subject)} ${subject.buyers} ${subject.stock}`;
export const link = ({ version, variant, buyers, stock, moves }) => ["#scheduler", version, variant || "-", buyers, stock, moves].join("/");
