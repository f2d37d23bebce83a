// Makes every viewer of the page work.
import { Controls } from "viewer/controls";
import { link } from "viewer/linked_views";
import { Viewer } from "viewer/viewer";

for (const root of document.querySelectorAll("[data-viewer]")) {
  const viewer = new Viewer(root);
  viewer.controls = new Controls(viewer);
  viewer.load();
}
for (const room of document.querySelectorAll("[data-linked]")) link(room);
