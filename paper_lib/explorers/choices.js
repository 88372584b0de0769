// What the explorers of a page have chosen, all of them alike: it stands in the address, and a link leads back to it.
window.choices ??= (() => {
  const hash = window.location.hash.slice(1);
  const chosen = new URLSearchParams(hash.includes("=") ? hash : "");
  const followers = [];
  return {
    get: (key) => chosen.get(key),
    follow: (follower) => followers.push(follower),
    // `by` has chosen, and the other explorers follow.
    set: (values, by) => {
      Object.entries(values).forEach(([key, value]) => chosen.set(key, value));
      window.history.replaceState(null, "", `#${chosen}`);
      followers.filter((follower) => follower !== by).forEach((follower) => follower());
    },
  };
})();
