// Texts of the page with less than 4.5 to 1 between them and what is behind them (WCAG 2.1, 1.4.3).
() => {
  const parse = text => { const found = text.match(/[\d.]+/g).map(Number); return found.length > 3 ? found : [...found, 1]; };
  const channel = value => (value /= 255) <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  const behind = element => {
    for (let at = element; at; at = at.parentElement) {
      const colour = parse(getComputedStyle(at).backgroundColor);
      if (colour[3] === 1) return colour;
    }
    return [255, 255, 255, 1];
  };
  const bad = [];
  for (const element of document.querySelectorAll("main *")) {
    const own = [...element.childNodes].some(node => node.nodeType === 3 && node.data.trim());
    if (!own || element.closest("svg") || element.closest(":disabled") || !element.checkVisibility()) continue;
    const [one, two] = [parse(getComputedStyle(element).color), behind(element)].map(light).sort((a, b) => b - a);
    const contrast = (one + 0.05) / (two + 0.05);
    if (contrast < 4.5) bad.push(`${element.tagName} ${element.className} ${element.textContent.slice(0, 30)} ${contrast.toFixed(2)}`);
  }
  return bad;
}
