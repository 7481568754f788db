// All visible text of the page whose contrast is below WCAG 2.2 AA (1.4.3), as lines to read.
() => {
  const channels = (color) => {
    const numbers = color.match(/[\d.]+/g).map(Number);
    const rgb = numbers.slice(0, 3).map((one) => (color.startsWith("rgb") ? one / 255 : one));
    return [...rgb, numbers[3] ?? 1];
  };
  const over = (top, below) =>
    [0, 1, 2].map((at) => top[at] * top[3] + below[at] * (1 - top[3])).concat(1);
  const background = (element) => {
    const behind = [];
    for (let one = element; one; one = one.parentElement) {
      behind.unshift(channels(getComputedStyle(one).backgroundColor));
    }
    return behind.reduce((below, top) => over(top, below), [1, 1, 1, 1]);
  };
  const luminance = (color) => {
    const [r, g, b] = color.map((one) => (one <= 0.04045 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const low = [];
  for (const element of document.body.querySelectorAll("*")) {
    const text = [...element.childNodes].filter((one) => one.nodeType === Node.TEXT_NODE)
      .map((one) => one.textContent.trim()).join(" ").trim();
    if (!text || !element.checkVisibility({ visibilityProperty: true })) continue;
    if (element.closest("svg, noscript, .unseen, option")) continue;
    const style = getComputedStyle(element);
    const behind = background(element);
    const [a, b] = [luminance(over(channels(style.color), behind)), luminance(behind)];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    const size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    if (ratio < (large ? 3 : 4.5)) low.push(`${ratio.toFixed(2)} ${element.className}: ${text}`);
  }
  return low;
}
