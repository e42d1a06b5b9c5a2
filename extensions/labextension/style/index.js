import './base.css';
import './workshop.css';
