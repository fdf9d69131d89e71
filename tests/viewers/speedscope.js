// Runs in speedscope's page once a profile is shown. Has it save that: what it writes is what it has understood.
new Promise((resolve) => {
  const create = URL.createObjectURL;
  URL.createObjectURL = (blob) => {
    blob.text().then((text) => resolve(JSON.parse(text)));
    return create.call(URL, blob);
  };
  window.dispatchEvent(new KeyboardEvent('keydown', { key: 's', ctrlKey: true }));
})
